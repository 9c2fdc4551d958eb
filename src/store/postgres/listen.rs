//! Hearing what other nodes tell, on a connection of its own: poolers that lend connections by the
//! transaction cannot pass it on.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Connection, NoTls};

use super::notice::{Bulletin, CHANNEL};
use super::options::PgOptions;
use super::session::SessionError;

/// Bulletins that were heard and not yet acted upon. Beyond them the connection waits.
const HEARD_MAX: usize = 4_096;
/// How long to wait before connecting again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The connection is new: what was told before it may have been missed.
    Anew,
    /// A node has told something.
    Bulletin(Bulletin),
}

/// Listens for ever; connects again whenever the connection breaks.
pub fn listen(options: PgOptions) -> mpsc::Receiver<Heard> {
    let (heard, receiver) = mpsc::channel(HEARD_MAX);
    tokio::spawn(async move {
        while !heard.is_closed() {
            if let Err(error) = listen_once(&options, &heard).await {
                tracing::warn!(%error, "what other nodes tell is not heard; it is tried again");
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    });
    receiver
}

async fn listen_once(options: &PgOptions, heard: &mpsc::Sender<Heard>) -> Result<(), SessionError> {
    if let Some(tls) = options.tls() {
        let (client, connection) = options.config().connect(tls).await?;
        hear(&client, connection, heard).await
    } else {
        let (client, connection) = options.config().connect(NoTls).await?;
        hear(&client, connection, heard).await
    }
}

async fn hear<S, T>(
    client: &tokio_postgres::Client,
    mut connection: Connection<S, T>,
    heard: &mpsc::Sender<Heard>,
) -> Result<(), SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let listening = client.batch_execute("LISTEN posthouse");
    tokio::pin!(listening);
    let mut listens = false;
    loop {
        tokio::select! {
            result = &mut listening, if !listens => {
                result?;
                listens = true;
                if heard.send(Heard::Anew).await.is_err() {
                    return Ok(());
                }
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(notification))) if notification.channel() == CHANNEL => {
                    if let Some(bulletin) = Bulletin::from_text(notification.payload())
                        && heard.send(Heard::Bulletin(bulletin)).await.is_err()
                    {
                        return Ok(());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(SessionError::Lost("the connection was closed".into())),
            }
        }
    }
}
