//! One connection from its handshake to its end.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::WebSocketStream;
use wacore_binary::{Node, NodeRef};
use waproto::{buffa::Message as _, whatsapp::ClientPayload};

use super::{
    error::Result,
    link::Link,
    login::{self, Login},
    mailbox::{Mailbox, Out},
    pairing::Pairing,
    session::Session,
};
use crate::world::World;

/// Stanzas taken from a device's queue at a time.
const PORTION: usize = 64;

pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(world: Arc<World>, socket: WebSocketStream<S>) {
    let shutdown = world.shutdown.clone();
    let cut = world.web.uptime.cut();
    let served = tokio::select! {
        () = shutdown.cancelled() => return,
        () = cut.cancelled() => return,
        served = serve(world, socket) => served,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(world: Arc<World>, socket: WebSocketStream<S>) -> Result<()> {
    let (mut link, client) = Link::accept(socket, &world.web.keys).await?;
    let payload = ClientPayload::decode_from_slice(&client.payload)?;
    let mailbox = Arc::new(Mailbox::new(world.web.next()));
    let role = if payload.username.is_none() {
        let pairing = Pairing::new(Arc::clone(&world), &client, &payload, Arc::clone(&mailbox));
        pairing.map(Role::Pairing)
    } else {
        match login::login(&world, &client, &payload, &mailbox) {
            Login::Welcome { session, success } => {
                link.send(&success).await?;
                Some(Role::Session(session))
            }
            Login::Refused(failure) => {
                link.send(&failure).await?;
                None
            }
        }
    };
    match role {
        Some(role) => converse(&mut link, &role, &mailbox).await?,
        None => tracing::debug!(pattern = ?client.pattern, "a connection was refused"),
    }
    link.close().await;
    Ok(())
}

/// What the connection is for; gone with it, what it holds elsewhere goes too.
enum Role {
    Pairing(Pairing),
    Session(Session),
}

impl Role {
    fn handle(&self, stanza: &NodeRef<'_>) -> Vec<Node> {
        match self {
            Self::Pairing(pairing) => pairing.handle(stanza),
            Self::Session(session) => session.handle(stanza),
        }
    }

    fn queued(&self) -> Vec<Node> {
        match self {
            Self::Pairing(_) => Vec::new(),
            Self::Session(session) => session.queued(PORTION),
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(link: &mut Link<S>, role: &Role, mailbox: &Mailbox) -> Result<()> {
    loop {
        tokio::select! {
            received = link.receive() => {
                let Some(stanza) = received? else { return Ok(()) };
                for answer in role.handle(stanza.get()) {
                    link.feed(&answer).await?;
                }
                link.flush().await?;
            }
            () = mailbox.woken() => {
                if !hand_out(link, role, mailbox).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// Sends what others left for this connection; false when that ends it.
async fn hand_out<S: AsyncRead + AsyncWrite + Unpin>(link: &mut Link<S>, role: &Role, mailbox: &Mailbox) -> Result<bool> {
    loop {
        let queued = role.queued();
        let outs = mailbox.take();
        if queued.is_empty() && outs.is_empty() {
            return Ok(true);
        }
        for stanza in &queued {
            link.feed(stanza).await?;
        }
        for out in outs {
            match out {
                Out::Stanza(stanza) => link.feed(&stanza).await?,
                Out::Garbage => link.send_garbage().await?,
                Out::End(last) => {
                    if let Some(stanza) = last {
                        link.feed(&stanza).await?;
                    }
                    link.flush().await?;
                    return Ok(false);
                }
            }
        }
        link.flush().await?;
    }
}
