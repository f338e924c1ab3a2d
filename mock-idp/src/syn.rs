//! A port that does not answer the TCP handshake, and the evidence that somebody tried.
//!
//! Linux drops a SYN when the accept queue is full, so a queue of length zero is filled with connections of our own. Who
//! tries stands in `/proc/net/tcp` as a socket in state SYN_SENT towards the port.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How often the kernel's table is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// State of a socket whose SYN was not answered, as `/proc/net/tcp` writes it.
const SYN_SENT: &str = "02";

/// A full accept queue.
pub(crate) struct Blackhole {
    port: u16,
    fillers: Vec<Socket>,
}

impl Blackhole {
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
        Self { port: address.port(), fillers }
    }

    /// Tells of each attempt once, for ever.
    pub(crate) async fn watch(&self, tell: impl Fn(u16)) {
        let own: BTreeSet<u16> =
            self.fillers.iter().filter_map(|f| f.local_addr().ok()?.as_socket()).map(|a| a.port()).collect();
        let mut seen = BTreeSet::new();
        loop {
            for port in attempts(self.port) {
                if !own.contains(&port) && seen.insert(port) {
                    tell(port);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Local ports of sockets in SYN_SENT towards a port.
fn attempts(port: u16) -> Vec<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables
        .iter()
        .filter_map(|t| std::fs::read_to_string(t).ok())
        .flat_map(|t| attempts_in(&t, port))
        .collect()
}

fn attempts_in(table: &str, port: u16) -> Vec<u16> {
    let wanted = format!(":{port:04X}");
    let port_of = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            (state == SYN_SENT && remote.ends_with(&wanted)).then(|| port_of(local)).flatten()
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
        assert_eq!(attempts_in(table, 0x1F90), [0xC001]);
    }
}
