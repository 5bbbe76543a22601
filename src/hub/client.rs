//! What is asked of a hub over HTTP.
//!
//! The crate hf-hub knows the hub's addresses and its default endpoint. Its own download is not used: it
//! writes into a cache of links, checks no checksum, believes whatever size it is told, and cannot be
//! stopped. So files are asked for with the agent that it is built on.

use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};
use ureq::http::Response;
use ureq::{Agent, Body};

use super::HubError;
use crate::models::manifest::Checkpoint;

/// The variable that names another endpoint, as everywhere in the hub's world.
const ENDPOINT_VARIABLE: &str = "HF_ENDPOINT";
/// Longest that one read, or the answer to a request, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Redirects followed.
const REDIRECTS: u32 = 10;

/// Why a request gave nothing.
pub(super) enum Trouble {
    /// It may work the next time.
    Broken(String),
    /// It will not.
    Final(HubError),
}

impl From<HubError> for Trouble {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// What the hub states of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// A hub.
pub(super) struct Client {
    api: Api,
    agent: Agent,
    asking: Agent,
}

impl Client {
    /// The hub at `endpoint`, else at the one that the environment names, else at the usual one.
    pub(super) fn new(endpoint: Option<&str>) -> Result<Self, HubError> {
        let named = std::env::var(ENDPOINT_VARIABLE).ok();
        let endpoint = endpoint.map(str::to_owned).or(named);
        let endpoint = endpoint.filter(|endpoint| !endpoint.trim().is_empty());
        // No token is ever sent: an endpoint may be anybody's. The cache is never written to.
        let mut builder = ApiBuilder::from_cache(Cache::new("unused".into())).with_token(None);
        if let Some(endpoint) = &endpoint {
            let endpoint = endpoint.trim().trim_end_matches('/');
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return Err(HubError::Endpoint(endpoint.to_owned()));
            }
            builder = builder.with_endpoint(endpoint.to_owned());
        }
        let api = builder
            .build()
            .map_err(|why| HubError::Endpoint(why.to_string()))?;
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                // Lengths and ranges are those of the file itself.
                .accept_encoding("identity")
                .user_agent(concat!("flowblend/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(PATIENCE))
                .timeout_recv_response(Some(PATIENCE))
                .timeout_per_read(Some(PATIENCE))
        };
        Ok(Self {
            api,
            agent: config().max_redirects(REDIRECTS).build().into(),
            asking: config()
                .max_redirects(0)
                .max_redirects_will_error(false)
                .build()
                .into(),
        })
    }

    /// The address of a file.
    pub(super) fn url(&self, checkpoint: &Checkpoint, path: &str) -> String {
        let (repo, revision) = (checkpoint.repo.clone(), checkpoint.revision.clone());
        let repo = Repo::with_revision(repo, RepoType::Model, revision);
        self.api.repo(repo).url(path)
    }

    /// What the hub itself states of a file: where it redirects to elsewhere, nobody can be believed
    /// to state the checksum.
    pub(super) fn about(&self, url: &str) -> Result<Remote, Trouble> {
        let mut at = url.to_owned();
        for _ in 0..REDIRECTS {
            let response = self
                .asking
                .head(&at)
                .call()
                .map_err(|why| trouble(&at, why))?;
            let header = |name: &str| {
                let value = response.headers().get(name)?;
                value.to_str().ok().map(str::to_owned)
            };
            let linked = Remote {
                size: header("x-linked-size").and_then(|size| size.parse().ok()),
                sha256: header("x-linked-etag").and_then(|tag| sha256_of(&tag)),
            };
            let status = response.status();
            if status.is_redirection() {
                let here = header("location").filter(|to| to.starts_with('/'));
                match here {
                    // A repository that was renamed: the hub states the file at the new address.
                    Some(path) if linked == Remote::default() => at = join(&at, &path),
                    _ => return Ok(linked),
                }
                continue;
            }
            check_status(&at, status.as_u16())?;
            let length = header("content-length").and_then(|length| length.parse().ok());
            return Ok(Remote {
                size: linked.size.or(length),
                ..linked
            });
        }
        Err(Trouble::Final(HubError::Transport {
            url: url.to_owned(),
            reason: "it is redirected in a circle".into(),
        }))
    }

    /// The file from byte `from` on. The answer may be the whole file all the same.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Trouble> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(|why| trouble(url, why))?;
        let status = response.status().as_u16();
        if status != 416 {
            check_status(url, status)?;
        }
        Ok(response)
    }
}

fn check_status(url: &str, status: u16) -> Result<(), Trouble> {
    let url = url.to_owned();
    Err(match status {
        200 | 206 => return Ok(()),
        401 | 403 => Trouble::Final(HubError::Refused { url, status }),
        404 | 410 => Trouble::Final(HubError::NotFound { url, status }),
        408 | 425 | 429 | 500..=599 => {
            Trouble::Broken(format!("the hub answers with status {status}"))
        }
        _ => Trouble::Final(HubError::Status { url, status }),
    })
}

fn trouble(url: &str, why: ureq::Error) -> Trouble {
    match why {
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Trouble::Broken(why.to_string()),
        _ => Trouble::Final(HubError::Transport {
            url: url.to_owned(),
            reason: why.to_string(),
        }),
    }
}

/// The tag of a large file is its SHA-256; that of a small one is something else.
fn sha256_of(tag: &str) -> Option<String> {
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    let is_hash = tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| tag.to_ascii_lowercase())
}

/// `path` on the host of `url`.
fn join(url: &str, path: &str) -> String {
    let host = url
        .find("://")
        .and_then(|at| url[at + 3..].find('/').map(|end| at + 3 + end))
        .unwrap_or(url.len());
    format!("{}{path}", &url[..host])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_large_files_tag_is_a_checksum() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(sha256_of(&format!("\"{hash}\"")), Some(hash.clone()));
        assert_eq!(sha256_of(&hash[..40]), None);
        assert_eq!(sha256_of(&hash.replace('f', "g")), None);
    }

    #[test]
    fn a_path_is_joined_to_the_host() {
        assert_eq!(join("http://a:1/b/c", "/d"), "http://a:1/d");
        assert_eq!(join("http://a", "/d"), "http://a/d");
    }
}
