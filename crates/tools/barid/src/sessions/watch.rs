//! The stream of a pairing, taken up again when it breaks.

use std::time::Duration;

use barid_domain::SessionId;
use barid_proto::session_pool::v1::{GetPairingRequest, Pairing, pairing_service_client::PairingServiceClient};
use tokio::{sync::mpsc, time::Instant};
use tonic::{Code, Status};

use crate::client::{Client, Connection};

/// How long a gateway may be away in the middle of a pairing.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(500);

type News = Result<Pairing, Status>;

/// Everything newer than `revision`, up to the end of the pairing or an error that does not pass.
pub(super) fn follow(client: &Client, id: SessionId, revision: u64) -> mpsc::Receiver<News> {
    let (sender, receiver) = mpsc::channel(4);
    let request = GetPairingRequest { tenant_id: client.tenant.clone(), id: id.to_string(), after_revision: revision };
    let service = PairingServiceClient::new(client.connection.clone());
    tokio::spawn(async move {
        if let Err(status) = tell(service, request, &sender).await {
            // Nobody listens any more when this fails.
            let _ = sender.send(Err(status)).await;
        }
    });
    receiver
}

async fn tell(
    mut service: PairingServiceClient<Connection>,
    mut request: GetPairingRequest,
    sender: &mpsc::Sender<News>,
) -> Result<(), Status> {
    let mut away: Option<Instant> = None;
    loop {
        let outcome = async {
            let mut news = service.watch_pairing(request.clone()).await?.into_inner();
            while let Some(pairing) = news.message().await? {
                away = None;
                request.after_revision = pairing.revision;
                let done = pairing.done;
                if sender.send(Ok(pairing)).await.is_err() || done {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        match outcome.await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(status) if passes(&status) && away.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {}
            Err(status) => return Err(status),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Whether the gateway was only restarted. A connection that breaks is `UNKNOWN` or `INTERNAL` to tonic, depending on where.
fn passes(status: &Status) -> bool {
    let broken = std::error::Error::source(status).is_some();
    status.code() == Code::Unavailable || broken
}
