//! A proxy before a database's server whose connections fall silent: what a client sends goes nowhere, and
//! nothing says that the connection is broken.

pub mod platform;

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Says of what a client sends whether its connection is silent from there on.
pub type Moment = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// Passes everything on between clients and the server, until connections are to fall silent. It stays
/// until its runtime ends.
pub struct SilentProxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    moment: Option<Moment>,
    /// A silent connection goes on with everything that was held once a client sends this.
    heals_at: Option<&'static str>,
    connections: u64,
    /// Connections with a number below this one are silent.
    silent_below: u64,
    /// Silent ones that something was sent on since.
    asked: BTreeSet<u64>,
}

impl SilentProxy {
    /// Before the server at this host and port.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn before(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let proxy = Self {
            port: listener.local_addr()?.port(),
            state: Arc::default(),
        };
        let server = (host.to_owned(), port);
        let state = Arc::clone(&proxy.state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server.clone()).await else {
                    continue;
                };
                let number = locked(&state).connections;
                locked(&state).connections += 1;
                tokio::spawn(carry(client, server, number, Arc::clone(&state)));
            }
        });
        Ok(proxy)
    }

    /// A silent connection goes on with everything that was held once a client sends this.
    pub fn heal_at(&self, what: &'static str) {
        locked(&self.state).heals_at = Some(what);
    }

    /// Where clients find it, on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// One connection falls silent when a client sends such a thing.
    pub fn silence(&self, moment: Moment) {
        locked(&self.state).moment = Some(moment);
    }

    /// One connection falls silent once clients have sent so many times, on all their connections together.
    pub fn silence_after(&self, mut times: usize) {
        self.silence(Box::new(move |_| {
            let now = times == 0;
            times = times.saturating_sub(1);
            now
        }));
    }

    /// Whether a connection fell silent since that was asked for.
    pub fn has_silenced(&self) -> bool {
        locked(&self.state).moment.is_none()
    }

    /// Every connection that stands is silent from now on; later ones are not.
    pub fn silence_all(&self) {
        let mut state = locked(&self.state);
        state.silent_below = state.connections;
    }

    /// How many connections somebody has asked something since [`SilentProxy::silence_all`], in vain.
    pub fn asked_in_vain(&self) -> usize {
        locked(&self.state).asked.len()
    }
}

/// Whether this is in what was sent.
pub fn says(sent: &[u8], what: &str) -> bool {
    sent.windows(what.len())
        .any(|window| window == what.as_bytes())
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    number: u64,
    state: Arc<Mutex<State>>,
) {
    let (mut sent, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(read @ 1..) = read else { return };
                let mut chunk = sent[..read].to_vec();
                if is_now(&state, number, &chunk) {
                    let heals_at = locked(&state).heals_at;
                    loop {
                        let Ok(read @ 1..) = client.read(&mut sent).await else { return };
                        chunk.extend_from_slice(&sent[..read]);
                        if heals_at.is_some_and(|what| says(&sent[..read], what)) {
                            break;
                        }
                    }
                }
                if server.write_all(&chunk).await.is_err() { return }
            }
            read = server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&answered[..read]).await.is_err() { return }
            }
        }
    }
}

fn is_now(state: &Mutex<State>, number: u64, sent: &[u8]) -> bool {
    let mut state = locked(state);
    if number < state.silent_below {
        state.asked.insert(number);
        return true;
    }
    let now = state.moment.as_mut().is_some_and(|moment| moment(sent));
    if now {
        state.moment = None;
    }
    now
}

/// What is in there is whole after each change.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
