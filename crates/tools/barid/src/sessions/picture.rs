//! The code as a picture in a file.

use std::path::Path;

use anyhow::{Context, Result};
use barid_domain::SessionId;
use barid_proto::session_pool::v1::{GetPairingPictureRequest, pairing_service_client::PairingServiceClient};
use tonic::Code;

use crate::client::{Client, explain};

/// Pixels of its side.
const SIZE: u32 = 600;

/// Writes the code that is to be scanned now. Whoever reads it can link the number, so only the file's owner may.
pub(super) async fn write(client: &Client, id: SessionId, file: &Path) -> Result<()> {
    let request = GetPairingPictureRequest { tenant_id: client.tenant.clone(), id: id.to_string(), size: SIZE };
    let picture = match PairingServiceClient::new(client.connection.clone()).get_pairing_picture(request).await {
        Ok(picture) => picture.into_inner(),
        // The code was scanned meanwhile.
        Err(status) if status.code() == Code::FailedPrecondition => return Ok(()),
        Err(status) => return Err(explain(&status)),
    };
    replace(file, &picture.data).with_context(|| format!("{} cannot be written", file.display()))
}

/// Whoever looks at the file sees the old picture or the new one, never half of it.
fn replace(file: &Path, data: &[u8]) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = file.with_file_name(name);
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?.write_all(data)?;
    std::fs::rename(fresh, file)
}
