//! Files that customers sent, as Meta hands them out: an id leads to an address, which is good for minutes, and the address to the bytes.

use bytes::Bytes;
use reqwest::{Response, StatusCode, Url, header};
use serde::Deserialize;

use super::{Client, Number, errors};

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// Meta does not know it any more, or never gave it to this number.
    #[error("Meta has no such file")]
    Gone,
    /// The token may not read it.
    #[error("Meta does not give the file out: {0}")]
    Refused(String),
    /// Asking again may help.
    #[error("the file does not come: {0}")]
    Unavailable(String),
}

#[derive(Deserialize)]
struct Described {
    url: String,
}

/// A file on its way, piece by piece.
#[derive(Debug)]
pub struct Download(Response);

impl Download {
    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`MediaError::Unavailable`] when the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MediaError> {
        self.0.chunk().await.map_err(unavailable)
    }
}

impl Client {
    /// Finds a file that a customer sent to this number.
    ///
    /// # Errors
    /// Why Meta does not hand it out.
    pub async fn media(&self, number: &Number, id: &str) -> Result<Download, MediaError> {
        let mut url = (*self.base).clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id);
        }
        // Meta then checks that it is this number's.
        url.query_pairs_mut().append_pair("phone_number_id", &number.phone_number_id);
        let answer = self.fetch(number, url).await?;
        let described: Described = answer.json().await.map_err(unavailable)?;
        let address = Url::parse(&described.url).map_err(|_| MediaError::Unavailable("its address is none".to_owned()))?;
        // The token goes along, so only over TLS, or to whom it is given anyway.
        if address.scheme() != "https" && address.origin() != self.base.origin() {
            return Err(MediaError::Unavailable("its address is not safe".to_owned()));
        }
        self.fetch(number, address).await.map(Download)
    }

    async fn fetch(&self, number: &Number, url: Url) -> Result<Response, MediaError> {
        // The hosts of files answer nobody who does not say a name.
        let request = self.http.get(url).bearer_auth(number.access_token.expose()).header(header::USER_AGENT, "Barid");
        let answer = request.send().await.map_err(unavailable)?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            // Meta says of what it does not know that the request is bad.
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::BAD_REQUEST => Err(MediaError::Gone),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(MediaError::Refused(format!("HTTP {}", answer.status().as_u16()))),
            status => Err(MediaError::Unavailable(format!("HTTP {}", status.as_u16()))),
        }
    }
}

fn unavailable(error: reqwest::Error) -> MediaError {
    MediaError::Unavailable(errors::mask(&error.without_url().to_string()))
}
