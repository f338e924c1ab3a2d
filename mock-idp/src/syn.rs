//! A port that does not answer the TCP handshake, and the evidence that somebody tried.
//!
//! Linux drops a SYN when the accept queue is full, so a queue of length zero is filled with connections of our own. Who
//! tries stands in `/proc/net/tcp` as a socket in state SYN_SENT towards the port.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How often a black hole looks whether somebody tried.
const LOOK: Duration = Duration::from_millis(50);
/// Reading the kernel's table walks its whole hash, some 20 ms on a large machine: at most so often in a process. A client
/// that tries to connect keeps trying for longer.
const READ: Duration = Duration::from_millis(200);
/// State of a socket whose SYN was not answered, as `/proc/net/tcp` writes it.
const SYN_SENT: &str = "02";

/// A full accept queue.
pub(crate) struct Blackhole {
    port: u16,
    fillers: Vec<Socket>,
    /// Who tried the port before it was ours: the system gives a port to the next owner while old SYNs still come.
    earlier: BTreeSet<u16>,
    dug_at: Instant,
}

impl Blackhole {
    /// Digs where the port has just become ours: whoever tries it now tries an earlier owner. Takes some 20 ms.
    pub(crate) fn dig_at_a_new_port(socket: &Socket, address: SocketAddr) -> Self {
        let earlier = attempts(address.port(), Instant::now()).into_iter().collect();
        Self { earlier, ..Self::dig(socket, address) }
    }

    /// Fills the queue of a bound socket.
    pub(crate) fn dig(socket: &Socket, address: SocketAddr) -> Self {
        let _ = socket.listen(0);
        let mut fillers = Vec::new();
        // A queue of "0" takes one connection; the second finds it full. More would stay in SYN_SENT.
        for _ in 0..2 {
            let Ok(filler) = Socket::new(Domain::for_address(address), Type::STREAM, None) else { break };
            if filler.connect_timeout(&address.into(), Duration::from_millis(30)).is_err() {
                break;
            }
            fillers.push(filler);
        }
        Self { port: address.port(), fillers, earlier: BTreeSet::new(), dug_at: Instant::now() }
    }

    /// Ports of the connections that fill the queue: they are nobody's when the queue is served again.
    pub(crate) fn own_ports(&self) -> BTreeSet<u16> {
        self.fillers.iter().filter_map(|f| f.local_addr().ok()?.as_socket()).map(|a| a.port()).collect()
    }

    /// Tells of each attempt once, for ever.
    pub(crate) async fn watch(&self, tell: impl Fn(u16)) {
        let own = self.own_ports();
        let mut seen = BTreeSet::new();
        loop {
            let (port, since) = (self.port, self.dug_at);
            for port in tokio::task::spawn_blocking(move || attempts(port, since)).await.unwrap_or_default() {
                if !own.contains(&port) && !self.earlier.contains(&port) && seen.insert(port) {
                    tell(port);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What the kernel's tables said when they were last read; all black holes of a process share it.
struct Seen {
    drops: Option<u64>,
    read_at: Instant,
    syns: Vec<Syn>,
}

impl Seen {
    /// What is read takes a while, and may be gone when it is read through: it is as old as the beginning of the reading.
    fn read(drops: Option<u64>, syns: impl FnOnce() -> Vec<Syn>) -> Self {
        let read_at = Instant::now();
        Self { drops, read_at, syns: syns() }
    }
}

/// A socket in SYN_SENT: its local port and the port that it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Syn {
    local: u16,
    remote: u16,
}

/// Local ports of sockets in SYN_SENT towards a port. What was read before `since` does not count: it may show a filler
/// that found the queue full.
fn attempts(port: u16, since: Instant) -> Vec<u16> {
    static SEEN: Mutex<Option<Seen>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let drops = listen_drops(&std::fs::read_to_string("/proc/net/netstat").unwrap_or_default());
    // A SYN that was not answered is a drop: as long as there is none, the tables say nothing new.
    let fresh = seen.as_ref().is_some_and(|s| {
        s.read_at >= since && ((s.drops == drops && drops.is_some()) || s.read_at.elapsed() < READ)
    });
    if !fresh {
        *seen = Some(Seen::read(drops, || {
            let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
            let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
            texts.flat_map(|text| syns_in(&text)).collect()
        }));
    }
    let syns = seen.iter().flat_map(|s| &s.syns);
    syns.filter(|syn| syn.remote == port).map(|syn| syn.local).collect()
}

/// `ListenDrops` of `/proc/net/netstat`: a line of names, then a line of numbers.
fn listen_drops(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "ListenDrops")?;
    numbers.split_whitespace().nth(at)?.parse().ok()
}

fn syns_in(table: &str) -> Vec<Syn> {
    let port_of = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            (state == SYN_SENT).then_some(())?;
            Some(Syn { local: port_of(local)?, remote: port_of(remote)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                     0: 0100007F:C001 0100007F:1F90 02 00000001\n\
                     1: 0100007F:C002 0100007F:1F90 01 00000000\n\
                     2: 0100007F:C003 0100007F:1F91 02 00000000\n";
        let found = [Syn { local: 0xC001, remote: 0x1F90 }, Syn { local: 0xC003, remote: 0x1F91 }];
        assert_eq!(syns_in(table), found);
    }

    fn bound(address: SocketAddr) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("a setting");
        socket.bind(&address.into()).expect("a free port");
        socket
    }

    /// A client whose SYN nobody answers.
    fn trying(address: SocketAddr) -> (Socket, u16) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a setting");
        let _ = socket.connect(&address.into());
        let port = socket.local_addr().ok().and_then(|a| a.as_socket()).expect("an address").port();
        (socket, port)
    }

    #[tokio::test]
    async fn who_tried_an_earlier_owner_of_the_port_is_not_told() {
        let first = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = first.local_addr().expect("bound").as_socket().expect("IP");
        let hole = Blackhole::dig(&first, address);
        let (_stale, stale) = trying(address);
        assert_eq!(attempts(address.port(), Instant::now()), [stale]);
        drop((hole, first));

        let second = bound(address);
        let hole = Blackhole::dig_at_a_new_port(&second, address);
        assert_eq!(hole.earlier, BTreeSet::from([stale]));
        let (_client, client) = trying(address);
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let watch = hole.watch(|port| told.send(port).expect("somebody listens"));
        let first = tokio::select! {
            () = watch => None,
            port = heard.recv() => port,
        };
        assert_eq!(first, Some(client), "the stale one has port {stale}");
    }

    /// Else a filler that was closed while the table was read would count as a client of its own hole.
    #[test]
    fn what_was_read_is_as_old_as_the_beginning_of_the_reading() {
        let mut while_reading = None;
        let seen = Seen::read(None, || {
            while_reading = Some(Instant::now());
            Vec::new()
        });
        assert!(seen.read_at <= while_reading.expect("it was read"));
    }

    #[test]
    fn drops_are_counted_by_name() {
        let netstat =
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 30\nIpExt: A\nIpExt: 4\n";
        assert_eq!(listen_drops(netstat), Some(30));
        assert_eq!(listen_drops(""), None);
    }
}
