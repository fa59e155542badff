//! A server that says what it was told to say, whatever it is asked.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One answer, to a request with this first line; `None` says nothing and keeps the connection.
pub(crate) type Say = Arc<dyn Fn(&str) -> Option<Answer> + Send + Sync>;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: &'static str,
    pub(crate) body: String,
}

/// Serves for as long as the runtime lives; gives its address.
pub(crate) async fn serve(say: Say) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let say = Arc::clone(&say);
            tokio::spawn(async move { answer(stream, say).await });
        }
    });
    format!("http://{address}")
}

async fn answer(stream: TcpStream, say: Say) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).await.ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    let Some(said) = say(&first) else {
        return std::future::pending().await;
    };
    let Answer {
        status,
        headers,
        body,
    } = said;
    let text = format!(
        "HTTP/1.1 {status} Canned\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok()
}
