//! Where contents are kept.

use std::path::PathBuf;

use barid_domain::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

/// Where contents are kept. Everything but `url` has a default and is for S3 only.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `file:///var/lib/barid/media` or `s3://bucket/prefix`
    pub url: String,
    /// The address of a server other than Amazon's; buckets are named in the path. Default: Amazon's for the region.
    #[serde(default)]
    pub endpoint: String,
    /// Default: `us-east-1`.
    #[serde(default)]
    pub region: String,
    /// Default: what the role of the pod or machine gives.
    #[serde(default)]
    pub access_key: Secret,
    #[serde(default)]
    pub secret_key: Secret,
    /// Whether the endpoint may be `http:`. Default: no.
    #[serde(default)]
    pub allow_http: bool,
}

/// A configuration's URL, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Folder(PathBuf),
    Bucket { name: String, prefix: String },
}

impl Config {
    /// Contents in a folder.
    pub fn folder(path: &std::path::Path) -> Self {
        Self {
            url: Url::from_directory_path(path).map(String::from).unwrap_or_default(),
            endpoint: String::new(),
            region: String::new(),
            access_key: Secret::default(),
            secret_key: Secret::default(),
            allow_http: false,
        }
    }

    /// One line per problem, each naming the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let location = self.location();
        if let Err(problem) = &location {
            problems.push(format!("url: {problem}"));
        }
        let is_given = [
            ("endpoint", !self.endpoint.is_empty()),
            ("region", !self.region.is_empty()),
            ("access_key", !self.access_key.is_empty()),
            ("secret_key", !self.secret_key.is_empty()),
        ];
        if let Ok(Location::Folder(_)) = location {
            let idle = is_given.iter().filter(|(_, given)| *given);
            problems.extend(idle.map(|(key, _)| format!("{key}: is for s3: only; leave it out, or give an s3: url")));
        } else {
            problems.extend(self.s3_problems());
        }
        problems
    }

    fn s3_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.endpoint.is_empty() {
            match Url::parse(&self.endpoint) {
                Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && self.allow_http) => {
                    if !url.username().is_empty() || url.password().is_some() {
                        problems.push("endpoint: names a user or a password; give access_key and secret_key".to_owned());
                    }
                }
                Ok(url) if url.scheme() == "http" => {
                    problems.push("endpoint: is http:; use https:, or set allow_http where nobody listens in".to_owned());
                }
                _ => problems.push("endpoint: is no address; write it as https://minio.example:9000".to_owned()),
            }
        }
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            let missing = if self.access_key.is_empty() { "access_key" } else { "secret_key" };
            problems.push(format!("{missing}: is missing; give both keys, or neither to use the machine's role"));
        }
        problems
    }

    pub(crate) fn location(&self) -> Result<Location, &'static str> {
        const SHAPE: &str = "is no place for contents; write it as file:///var/lib/barid/media or s3://bucket/prefix";
        let url = Url::parse(&self.url).map_err(|_| SHAPE)?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("has more than a place in it; settings and keys have keys of their own");
        }
        match (url.scheme(), url.host_str()) {
            ("file", None) => url.to_file_path().ok().filter(|path| path.parent().is_some()).map(Location::Folder).ok_or(SHAPE),
            ("file", Some(_)) => Err("names a host; a local folder has three slashes, as in file:///var/lib/barid/media"),
            ("s3", Some(bucket)) if url.port().is_none() => {
                Ok(Location::Bucket { name: bucket.to_owned(), prefix: url.path().trim_matches('/').to_owned() })
            }
            _ => Err(SHAPE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).expect("a configuration")
    }

    fn keys(text: &str) -> Vec<String> {
        let key = |problem: String| problem.split(':').next().unwrap_or_default().to_owned();
        config(text).problems().into_iter().map(key).collect()
    }

    #[test]
    fn folders_and_buckets_are_places() {
        let folder = config(r#"url = "file:///var/lib/barid%20media/""#);
        assert_eq!(folder.location(), Ok(Location::Folder("/var/lib/barid media/".into())));
        let bucket = config(r#"url = "s3://media/barid/prod/""#);
        assert_eq!(bucket.location(), Ok(Location::Bucket { name: "media".to_owned(), prefix: "barid/prod".to_owned() }));
        assert_eq!((folder.problems(), bucket.problems()), (vec![], vec![]));
        assert_eq!(Config::folder(std::path::Path::new("/a b")).location(), Ok(Location::Folder("/a b/".into())));
    }

    #[test]
    fn what_is_no_place_is_told_by_its_key() {
        for url in ["", "media", "/var/lib", "file:///", "file://host/a", "s3:///a", "s3://b:9/a", "s3://a:b@c/", "s3://b/?x=1", "gs://b"] {
            assert_eq!(keys(&format!("url = {url:?}")), ["url"], "{url}");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_told() {
        assert_eq!(keys("url = \"file:///a\"\nregion = \"eu\"\nsecret_key = \"x\""), ["region", "secret_key"]);
        assert_eq!(keys("url = \"s3://b\"\nendpoint = \"http://minio:9000\""), ["endpoint"]);
        assert_eq!(keys("url = \"s3://b\"\nendpoint = \"http://minio:9000\"\nallow_http = true"), Vec::<String>::new());
        assert_eq!(keys("url = \"s3://b\"\nendpoint = \"minio\""), ["endpoint"]);
        assert_eq!(keys("url = \"s3://b\"\nendpoint = \"https://a:b@minio\""), ["endpoint"]);
        assert_eq!(keys("url = \"s3://b\"\naccess_key = \"a\""), ["secret_key"]);
        assert_eq!(keys("url = \"s3://b\"\nsecret_key = \"a\""), ["access_key"]);
    }

    #[test]
    fn keys_do_not_show() {
        let config = config("url = \"s3://b\"\naccess_key = \"AKIA\"\nsecret_key = \"hush\"");
        let shown = format!("{config:?}{}", toml::to_string(&config).expect("a section"));
        assert!(!shown.contains("AKIA") && !shown.contains("hush"), "{shown}");
    }
}
