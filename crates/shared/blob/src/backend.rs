//! Opens a folder or a bucket.

use std::{path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem, prefix::PrefixStore,
};

use crate::{Config, Error, config::Location, connector::Connector};

/// Where objects go.
#[derive(Clone)]
pub(crate) struct Backend {
    pub objects: Arc<dyn ObjectStore>,
    /// The folder, where it is one.
    pub folder: Option<PathBuf>,
}

impl Backend {
    pub fn open(config: &Config) -> Result<Self, Error> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        match config.location().map_err(|problem| Error::Config(vec![format!("url: {problem}")]))? {
            Location::Folder(path) => {
                std::fs::create_dir_all(&path).map_err(Error::Folder)?;
                let folder = LocalFileSystem::new_with_prefix(&path)?.with_fsync(true);
                Ok(Self { objects: Arc::new(folder), folder: Some(path) })
            }
            Location::Bucket { name, prefix } => {
                let bucket = bucket(config, name)?;
                let objects: Arc<dyn ObjectStore> =
                    if prefix.is_empty() { Arc::new(bucket) } else { Arc::new(PrefixStore::new(bucket, prefix)) };
                Ok(Self { objects, folder: None })
            }
        }
    }
}

/// How pods and tasks on Amazon's machines say which role they have.
const ROLE: [&str; 7] = [
    "aws_web_identity_token_file",
    "aws_role_arn",
    "aws_role_session_name",
    "aws_endpoint_url_sts",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
    "aws_container_authorization_token_file",
];

fn bucket(config: &Config, name: String) -> Result<object_store::aws::AmazonS3, Error> {
    // Callers wait: rather an error that they can repeat than minutes of trying.
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 },
        max_retries: 4,
        retry_timeout: Duration::from_secs(30),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_client_options(ClientOptions::new().with_allow_http(config.allow_http))
        .with_http_connector(Connector)
        .with_virtual_hosted_style_request(false)
        // One name at a time is deleted, and not every server knows the call for many.
        .with_disable_bulk_delete(true)
        .with_retry(retry);
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint);
    }
    if !config.region.is_empty() {
        builder = builder.with_region(&config.region);
    }
    if !config.access_key.is_empty() {
        builder = builder.with_access_key_id(config.access_key.expose()).with_secret_access_key(config.secret_key.expose());
    } else {
        for name in ROLE {
            if let (Ok(key), Ok(value)) = (name.parse(), std::env::var(name.to_uppercase())) {
                builder = builder.with_config(key, value);
            }
        }
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use object_store::aws::AmazonS3ConfigKey;

    use super::*;

    #[test]
    fn the_names_of_roles_are_known_to_the_store() {
        for name in ROLE {
            assert!(name.parse::<AmazonS3ConfigKey>().is_ok(), "{name}");
        }
    }
}
