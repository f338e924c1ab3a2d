//! Signing beside the runtime, so that a token does not keep other requests waiting.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::oneshot;

use crate::config::Alg;
use crate::key_pool::KeyPool;

/// Something to sign, and who waits for it.
struct Job {
    pool: Arc<KeyPool>,
    alg: Alg,
    nth: usize,
    text: String,
    done: oneshot::Sender<String>,
}

/// As many threads as there are cores, started when the first RSA signature is wanted; they end with their owner. Under
/// load a thread takes its next text without being woken, which a pool of blocking tasks does not do.
#[derive(Default)]
pub(crate) struct Signer {
    jobs: OnceLock<Sender<Job>>,
}

impl Signer {
    /// Puts the signature behind `header.payload`. RSA costs a quarter of a millisecond and goes to a thread, first come
    /// first served; the curves cost some microseconds and stay here.
    pub(crate) async fn sign(&self, pool: &Arc<KeyPool>, alg: Alg, nth: usize, text: String) -> String {
        match alg {
            Alg::Es256 | Alg::Es384 | Alg::EdDsa => signed(pool, alg, nth, text),
            Alg::Rs256 | Alg::Rs384 | Alg::Rs512 | Alg::Ps256 | Alg::Ps384 | Alg::Ps512 => {
                let (done, signature) = oneshot::channel();
                let job = Job { pool: pool.clone(), alg, nth, text, done };
                self.jobs.get_or_init(start).send(job).expect("signing threads live as long as their owner");
                signature.await.expect("signing does not panic")
            }
        }
    }
}

fn start() -> Sender<Job> {
    let (jobs, queue) = channel();
    let queue = Arc::new(Mutex::new(queue));
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    for _ in 0..cores {
        let queue = queue.clone();
        let thread = std::thread::Builder::new().name("signer".to_owned());
        thread.spawn(move || work(&queue)).expect("the system has threads");
    }
    jobs
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { pool, alg, nth, text, done }) = job else { return };
        if !done.is_closed() {
            // Who waited may have gone meanwhile.
            let _ = done.send(signed(&pool, alg, nth, text));
        }
    }
}

fn signed(pool: &KeyPool, alg: Alg, nth: usize, mut text: String) -> String {
    let signature = pool.key(alg, nth).sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}
