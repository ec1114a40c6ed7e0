//! Which process is at the other end of a connection on this machine.
//!
//! ```text
//!  Unix socket  SO_PEERCRED                                    ─▶ pid of whoever listens
//!  TCP          /proc/net/tcp: the line whose local address is
//!               our remote one and the other way round ─▶ inode
//!               /proc/*/fd/*: the link to socket:[inode]       ─▶ pid
//! ```
//!
//! A connection to another machine has no such line: that is how it is known to be one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a peer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A process of this machine.
    Process(u32),
    /// A process of this machine that we may not look at.
    Hidden,
    /// On another machine, or behind a device.
    Elsewhere,
}

/// The process at the other end of a TCP connection from `ours` to `theirs`.
pub fn of_tcp(ours: SocketAddr, theirs: SocketAddr) -> Peer {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let inode = texts
        .filter_map(|text| inode(&text, theirs, ours))
        .find(|inode| *inode != 0);
    match inode {
        None => Peer::Elsewhere,
        Some(inode) => holder(inode).map_or(Peer::Hidden, Peer::Process),
    }
}

/// The inode of the connection from `local` to `remote`, in the text of `/proc/net/tcp`.
fn inode(text: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    text.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is = |field: Option<&str>, wanted| field.and_then(address) == Some(plain(wanted));
        let is_ours = is(fields.nth(1), local) && is(fields.next(), remote);
        let inode = fields.nth(6)?.parse().ok()?;
        is_ours.then_some(inode)
    })
}

/// `0100007F:04D2`: each 32-bit word of the address in the host's byte order.
fn address(field: &str) -> Option<SocketAddr> {
    let (host, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !host.is_ascii() || !matches!(host.len(), 8 | 32) {
        return None;
    }
    let words = host.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    let host = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::from(Ipv4Addr::from(bytes)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(plain(SocketAddr::new(host, port)))
}

/// An IPv4 address that is written as IPv6 is the same address.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The process that holds the socket, among those that we may look at.
fn holder(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|file| {
            fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:04D2 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0
   1: 0100007F:04D2 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 77 1 0
";

    #[test]
    fn a_connection_s_line_is_found() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        if cfg!(target_endian = "little") {
            assert_eq!(inode(TABLE, at(1234), at(0xd431)), Some(77));
        }
        assert_eq!(inode(TABLE, at(0xd431), at(1234)), None);
        assert_eq!(inode(TABLE, at(1234), at(1)), None);
        for rubbish in ["", ":", "x:1", "0100007F:x", "é100007:1", "01:1"] {
            assert_eq!(address(rubbish), None, "{rubbish}");
        }
        let six = address("0000000000000000FFFF00000100007F:04D2");
        if cfg!(target_endian = "little") {
            assert_eq!(six, Some(at(1234)));
        }
    }

    #[test]
    fn our_own_listener_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap().0;
        let peer = of_tcp(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        assert_eq!(peer, Peer::Process(std::process::id()));
        drop(accepted);
        // Nobody has this connection.
        let nowhere = SocketAddr::from(([192, 0, 2, 1], 9));
        assert_eq!(
            of_tcp(stream.local_addr().unwrap(), nowhere),
            Peer::Elsewhere
        );
    }
}
