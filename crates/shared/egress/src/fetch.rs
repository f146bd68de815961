//! The client.

use std::{
    error::Error as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use reqwest::{
    Client, Response,
    header::{ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
    redirect,
};
use url::Url;

use crate::{BuildError, Error, Resolve, Settings, System, client::guarded, describe, guard::Guard};

/// Fetches URLs. Clone it freely.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    guard: Arc<Guard>,
    patience: Duration,
}

/// What a URL gave.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub bytes: Bytes,
    /// As the server says, in lower case and without parameters; `application/octet-stream` where it says nothing usable.
    pub mime: String,
    /// From the answer or else from the URL; without folders, control characters and what turns text around.
    pub filename: Option<String>,
}

/// What a URL gives, while it comes in.
#[derive(Debug)]
pub struct Opened {
    /// As in [`Fetched`].
    pub mime: String,
    /// As in [`Fetched`].
    pub filename: Option<String>,
    /// The length that was announced; what comes may be less, and is then an error.
    pub length: Option<u64>,
    pub body: Body,
}

/// Chunks of a body, up to the limit and the total time-out. Ends after the first error.
pub struct Body {
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    left: u64,
    limit: u64,
    patience: Duration,
}

impl Fetcher {
    /// At most so much is set aside for an announced length before anything has come.
    const ADVANCE: u64 = 1 << 20;

    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        Self::with_resolver(settings, System)
    }

    /// With another way to find addresses than the machine's. They are judged all the same.
    pub fn with_resolver(settings: &Settings, resolver: impl Resolve) -> Result<Self, BuildError> {
        let (client, guard) = guarded(settings, resolver)?;
        // Signed links must not be told to whom they redirect to.
        let client = client.redirect(policy(guard.clone(), settings.max_redirects)).referer(false).build()?;
        Ok(Self { client, guard, patience: settings.total_timeout })
    }

    /// Fetches a URL into memory.
    pub async fn fetch(&self, url: &str, limit_bytes: u64) -> Result<Fetched, Error> {
        let Opened { mime, filename, length, mut body } = self.open(url, limit_bytes).await?;
        let advance = length.unwrap_or_default().min(Self::ADVANCE);
        let mut bytes = BytesMut::with_capacity(usize::try_from(advance).unwrap_or_default());
        while let Some(chunk) = body.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes: bytes.freeze(), mime, filename })
    }

    /// Fetches a URL piece by piece. The total time-out runs on while the body is read.
    pub async fn open(&self, url: &str, limit_bytes: u64) -> Result<Opened, Error> {
        let url = Url::parse(url).map_err(|error| Error::Malformed(error.to_string()))?;
        self.guard.url(&url)?;
        let request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        let response = request.send().await.map_err(|error| told(&error, self.patience))?;
        if !response.status().is_success() {
            return Err(Error::Status(response.status().as_u16()));
        }
        let encoding = header(&response, CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
        if let Some(encoding) = encoding {
            return Err(Error::Encoded(encoding));
        }
        let length = response.content_length();
        if length.is_some_and(|length| length > limit_bytes) {
            return Err(Error::TooLarge { limit: limit_bytes });
        }
        Ok(Opened {
            mime: describe::mime(header(&response, CONTENT_TYPE).as_deref()),
            filename: describe::filename(header(&response, CONTENT_DISPOSITION).as_deref(), response.url()),
            length,
            body: Body { chunks: response.bytes_stream().boxed(), left: limit_bytes, limit: limit_bytes, patience: self.patience },
        })
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(chunk) = ready!(self.chunks.poll_next_unpin(context)) else { return Poll::Ready(None) };
        let error = match chunk {
            Ok(chunk) => match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => {
                    self.left = left;
                    return Poll::Ready(Some(Ok(chunk)));
                }
                None => Error::TooLarge { limit: self.limit },
            },
            Err(error) => told(&error, self.patience),
        };
        // Lets go of the connection, so that the server stops sending.
        self.chunks = futures::stream::empty().boxed();
        Poll::Ready(Some(Err(error)))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Body({} of {} bytes left)", self.left, self.limit)
    }
}

fn policy(guard: Arc<Guard>, most: usize) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > most {
            return attempt.error(Error::Redirects(most));
        }
        match guard.url(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(Error::Redirect(Box::new(error))),
        }
    })
}

/// Some servers write file names in bytes that are no ASCII.
fn header(response: &Response, name: HeaderName) -> Option<String> {
    response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Our own judgement where the client carries one, or else the client's error in our words.
fn told(error: &reqwest::Error, patience: Duration) -> Error {
    let mut innermost = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.clone();
        }
        innermost = error.to_string();
        source = error.source();
    }
    if error.is_connect() {
        Error::Unreachable(innermost)
    } else if error.is_timeout() {
        Error::Timeout(patience)
    } else if error.is_body() || error.is_decode() {
        Error::BrokenOff(innermost)
    } else {
        Error::Unreachable(innermost)
    }
}
