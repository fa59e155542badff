//! A way to a server that falls silent: nothing comes any more, and nothing says that it is broken.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on until clients have sent so much.
pub struct Mute {
    address: SocketAddr,
    left: Arc<AtomicUsize>,
}

impl Mute {
    /// Falls silent when clients have sent `chunks` times, on all their connections together. What they send
    /// next is lost.
    ///
    /// # Errors
    /// Where there is no port to listen at.
    pub async fn before(server: &str, chunks: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        // One more than are let through: nothing is left once something was lost.
        let left = Arc::new(AtomicUsize::new(chunks + 1));
        let (server, counted) = (server.to_owned(), Arc::clone(&left));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, left) = (server.clone(), Arc::clone(&counted));
                tokio::spawn(async move { carry(client, &server, &left).await });
            }
        });
        Ok(Self { address, left })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether something was lost.
    pub fn is_silent(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }
}

async fn carry(mut client: TcpStream, server: &str, left: &AtomicUsize) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut sent, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                let one_less = |left: usize| Some(left.saturating_sub(1));
                let before = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
                if before.is_ok_and(|left| left <= 1) {
                    break;
                }
                server.write_all(&sent[..read]).await?;
            }
            read = server.read(&mut answered) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                client.write_all(&answered[..read]).await?;
            }
        }
    }
    while client.read(&mut sent).await? > 0 {}
    Ok(())
}
