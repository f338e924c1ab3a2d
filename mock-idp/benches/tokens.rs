//! How fast tokens are issued, beside how fast the same library signs on the same cores.
//!
//! One command: `cargo bench -p mock-idp`. Criterion measures a function; this measures a server under load, and its start,
//! memory and size, which is why it is a program of its own. Raw signing and serving take turns, so that what else the
//! machine does hits both.

#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Each measurement, and how often raw signing and serving take turns.
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 16;
/// As long as the text that is signed for a token.
const TEXT: &[u8] = &[b'a'; 300];

fn main() {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    println!("{cores} cores, {CONNECTIONS} connections, {ROUNDS} rounds of {TIME:?} each\n");
    println!("{:<6} {:>29} {:>33} {:>29}", "", "by the clock", "per second of processor time", "latency");
    println!(
        "{:<6} {:>10} {:>10} {:>7} {:>12} {:>12} {:>7} {:>9} {:>9} {:>13}",
        "", "sign/s", "tokens/s", "ratio", "sign", "tokens", "ratio", "p50", "p99", "/healthz p99"
    );
    for alg in ["RS256", "ES256", "EdDSA"] {
        compare(alg, cores);
    }
    println!();
    start_up();
}

/// Raw signing and serving in turns; the best round of each counts, because what disturbs only slows down. By the clock the
/// load generator, which runs on the same cores, counts against the mock; by processor time only the mock itself does.
fn compare(alg: &'static str, cores: usize) {
    let server = Server::start(&["--log", "warn", "--config", &config(alg)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = runtime.block_on(load(&server.address, Duration::from_millis(300)));
    let (mut raw, mut best) = (0.0_f64, Load::default());
    let (mut raw_per_cpu, mut per_cpu) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let before = cpu_seconds("self");
        let (signed, rate) = raw_rate(alg, cores);
        raw = raw.max(rate);
        raw_per_cpu = raw_per_cpu.max(signed as f64 / (cpu_seconds("self") - before));
        let pid = server.child.id().to_string();
        let before = cpu_seconds(&pid);
        let measured = runtime.block_on(load(&server.address, TIME));
        per_cpu = per_cpu.max(measured.requests as f64 / (cpu_seconds(&pid) - before));
        if measured.rate > best.rate {
            best = measured;
        }
    }
    println!(
        "{alg:<6} {raw:>10.0} {:>10.0} {:>6.1}% {raw_per_cpu:>12.0} {per_cpu:>12.0} {:>6.1}% {:>7.2}ms {:>7.2}ms {:>11.2}ms",
        best.rate,
        best.rate / raw * 100.0,
        per_cpu / raw_per_cpu * 100.0,
        best.p50,
        best.p99,
        best.other_p99
    );
}

/// Processor time of a process so far (Linux, in hundredths of a second).
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    fields.iter().sum::<f64>() / 100.0
}

/// A file that makes tokens of this algorithm, kept until the program ends.
fn config(alg: &str) -> String {
    let path = std::env::temp_dir().join(format!("mock-idp-bench-{alg}-{}.toml", std::process::id()));
    std::fs::write(&path, format!("[issuer.token]\nalg = \"{alg}\"\n")).expect("a temporary file");
    path.display().to_string()
}

/// Signatures a second with one parsed key, on all cores.
fn raw_rate(alg: &str, cores: usize) -> (u64, f64) {
    let sign: Arc<dyn Fn() + Send + Sync> = match alg {
        "RS256" => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
            Arc::new(move || {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), TEXT, &mut signature).expect("a signature");
            })
        }
        "ES256" => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            Arc::new(move || {
                black_box(key.sign(&SystemRandom::new(), TEXT).expect("a signature"));
            })
        }
        _ => {
            let key = Ed25519KeyPair::generate().expect("a key");
            Arc::new(move || {
                black_box(key.sign(TEXT));
            })
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            let (sign, stop) = (sign.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut signed = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    sign();
                    signed += 1;
                }
                signed
            })
        })
        .collect();
    std::thread::sleep(TIME);
    stop.store(true, Ordering::Relaxed);
    let signed: u64 = threads.into_iter().map(|t| t.join().expect("it does not panic")).sum();
    (signed, signed as f64 / began.elapsed().as_secs_f64())
}

#[derive(Debug, Default, Clone, Copy)]
struct Load {
    requests: usize,
    rate: f64,
    p50: f64,
    p99: f64,
    other_p99: f64,
}

/// Token requests over kept connections, and a request for something else every few milliseconds.
async fn load(address: &str, time: Duration) -> Load {
    let form = "grant_type=client_credentials";
    let token = format!(
        "POST /bench/oauth2/token HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic YXBwOnNlY3JldA==\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let other = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let began = Instant::now();
    let workers = (0..CONNECTIONS).map(|_| requests(address, &token, began + time, Duration::ZERO));
    let (times, others) = tokio::join!(
        futures::future::join_all(workers),
        requests(address, &other, began + time, Duration::from_millis(5))
    );
    let elapsed = began.elapsed().as_secs_f64();
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    let mut others = others;
    let rate = times.len() as f64 / elapsed;
    Load {
        requests: times.len() + others.len(),
        rate,
        p50: quantile(&mut times, 0.5),
        p99: quantile(&mut times, 0.99),
        other_p99: quantile(&mut others, 0.99),
    }
}

/// Milliseconds of each request on one connection.
async fn requests(address: &str, request: &str, until: Instant, pause: Duration) -> Vec<f64> {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the mock listens");
    stream.set_nodelay(true).expect("a socket");
    let mut times = Vec::new();
    let mut buffer = vec![0; 8192];
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("the mock reads");
        let mut read = 0;
        while !is_whole(&buffer[..read]) {
            let more = stream.read(&mut buffer[read..]).await.expect("the mock answers");
            assert!(more > 0, "the mock closed the connection");
            read += more;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..read]));
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    times
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length =
        head.lines().find_map(|l| l.strip_prefix("content-length: ")).and_then(|l| l.parse::<usize>().ok());
    answer.len() >= end + 4 + length.unwrap_or(0)
}

fn quantile(times: &mut [f64], q: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(((times.len() as f64 - 1.0) * q) as usize).copied().unwrap_or(f64::NAN)
}

/// The program, as it is used.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mock-idp"));
        command
            .env_clear()
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it has an output"));
        let line =
            output.lines().find_map(|l| l.ok().filter(|l| l.contains("an issuer"))).expect("it gets ready");
        let url = line.split_whitespace().find(|w| w.contains("://")).expect("it says where it is");
        let address = url.trim_start_matches("http://localhost").trim_end_matches("/demo");
        Self { address: format!("127.0.0.1{address}"), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start to the first answered discovery, memory after it, and size of the program.
fn start_up() {
    let mut times = Vec::new();
    let mut memory = 0;
    for _ in 0..10 {
        let began = Instant::now();
        let server = Server::start(&[]);
        let mut stream = TcpStream::connect(&server.address).expect("the mock listens");
        let request = "GET /a/.well-known/openid-configuration HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("the mock reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the mock answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        memory = resident(server.child.id());
    }
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_mock-idp")).map_or(0, |m| m.len());
    println!(
        "start to first discovery  p50 {:.1} ms, worst {:.1} ms",
        quantile(&mut times, 0.5),
        quantile(&mut times, 1.0)
    );
    println!("idle memory (resident)    {:.1} MB", memory as f64 / 1e6);
    println!("size of the program       {:.1} MB", size as f64 / 1e6);
}

/// Resident bytes (Linux).
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
