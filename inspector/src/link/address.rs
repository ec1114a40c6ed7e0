//! Where a target is: `host:port`, `unix:PATH` or `serial:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a target is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// A TCP port: `host:port`, or `:port` and `port` for this machine.
    Tcp {
        /// Name or number of the machine.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A Unix socket: `unix:PATH`.
    Unix(PathBuf),
    /// A character device: `serial:PATH`.
    Serial(PathBuf),
    /// A file with a guest's memory in it; nobody answers there.
    File(PathBuf),
}

/// The machine that a bare port is on.
const THIS_MACHINE: &str = "127.0.0.1";

/// A text that is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is no address: {why}; write host:port (such as localhost:1234), unix:PATH or serial:PATH"
)]
pub struct AddressError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |why| AddressError {
            text: text.to_owned(),
            why,
        };
        for (prefix, make) in [
            ("unix:", Self::Unix as fn(PathBuf) -> Self),
            ("serial:", Self::Serial),
        ] {
            if let Some(path) = text.strip_prefix(prefix) {
                if path.is_empty() {
                    return Err(wrong("the path is missing"));
                }
                return Ok(make(PathBuf::from(path)));
            }
        }
        // QEMU and gdb write `tcp:host:port`; take that too.
        let rest = text.strip_prefix("tcp:").unwrap_or(text);
        let (host, port) = rest.rsplit_once(':').unwrap_or(("", rest));
        if port.is_empty() {
            return Err(wrong("the port is missing"));
        }
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("the port is not a number"));
        }
        let port: u16 = port.parse().map_err(|_| wrong("the port is above 65535"))?;
        if port == 0 {
            return Err(wrong("port 0 cannot be connected to"));
        }
        // `[::1]:1234` is how an IPv6 address is kept apart from its port.
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if bracketed.is_none() && host.contains(':') {
            return Err(wrong("an IPv6 address needs brackets, as in [::1]:1234"));
        }
        let host = bracketed.unwrap_or(host);
        if host.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err(wrong("the host name has characters that no name has"));
        }
        let host = if host.is_empty() { THIS_MACHINE } else { host };
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Serial(path) => write!(f, "serial:{}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_is_read_and_shown() {
        for (text, shown) in [
            ("localhost:1234", "localhost:1234"),
            (":1234", "127.0.0.1:1234"),
            ("1234", "127.0.0.1:1234"),
            ("tcp::1234", "127.0.0.1:1234"),
            ("[::1]:99", "[::1]:99"),
            ("unix:/tmp/a b", "unix:/tmp/a b"),
            ("serial:/dev/ttyUSB0", "serial:/dev/ttyUSB0"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "port is missing"),
            ("localhost:", "port is missing"),
            ("localhost", "not a number"),
            ("snapshot.ron", "not a number"),
            ("a:65536", "above 65535"),
            ("a:0", "port 0"),
            ("::1:1234", "brackets"),
            ("http://a:80", "brackets"),
            ("unix:", "path is missing"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "\\PC*") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
