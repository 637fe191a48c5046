//! Serves one trace to the Perfetto UI on loopback, and nothing else to nobody else.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use crate::trace::Trace;

/// The only port on loopback that the UI's content security policy allows, as Perfetto's own
/// `open_trace_in_ui` says.
pub(crate) const PORT: u16 = 9001;
/// The public UI.
pub(crate) const ORIGIN: &str = "https://ui.perfetto.dev";

/// What is served, and to whom.
#[derive(Debug)]
pub(crate) struct Served {
    /// The file.
    pub(crate) path: PathBuf,
    /// The UI that may fetch it.
    pub(crate) origin: String,
    /// Go on after it was fetched.
    pub(crate) keep: bool,
}

/// The part of the trace that the UI is asked to show, in the file's own nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// The largest step gap with as much again on both sides; nothing where there is none.
pub(crate) fn worst_gap(trace: &Trace) -> Option<View> {
    let origin = trace.origin?.as_ns();
    let step = trace.steps.iter().filter(|step| step.gap_ns.is_some()).max_by_key(|step| step.gap_ns)?;
    let gap = step.gap_ns?.as_ns().max(1);
    let begins = origin + step.start_ns.as_ns();
    Some(View { start: begins - 2 * gap, end: begins + gap })
}

/// The link that opens the trace.
pub(crate) fn link(origin: &str, port: u16, path: &Path, view: Option<View>) -> String {
    let part = view.map_or_else(String::new, |view| {
        format!("&visStart={}&visEnd={}", view.start.max(0), view.end.max(0))
    });
    format!("{origin}/#!/?url=http://127.0.0.1:{port}/{}{part}", name(path))
}

/// The file's name as it stands in the URL: nothing that would need escaping there.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    name.chars().map(plain).collect()
}

struct Shared {
    served: Served,
    name: String,
    origin: HeaderValue,
    /// Told when the file was sent to its end.
    fetched: Arc<Notify>,
}

/// Binds the port and serves; `ready` hears the port. Returns when the file was fetched, unless it is
/// to be kept.
///
/// # Errors
/// The port is taken, or the origin is no header value.
pub(crate) fn serve(served: Served, port: u16, ready: impl FnOnce(u16)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let origin = HeaderValue::from_str(&served.origin).map_err(io::Error::other)?;
        let keep = served.keep;
        let fetched = Arc::new(Notify::new());
        let shared = Shared { name: name(&served.path), served, origin, fetched: Arc::clone(&fetched) };
        let app = Router::new().fallback(answer).with_state(Arc::new(shared));
        ready(port);
        let done = async move {
            fetched.notified().await;
            if keep {
                std::future::pending::<()>().await;
            }
        };
        axum::serve(listener, app).with_graceful_shutdown(done).await
    })
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    // A page that points a name of its own at 127.0.0.1 sends that name here.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let local = host.split(':').next().is_some_and(|name| name == "127.0.0.1" || name == "localhost");
    if !local {
        return plain(StatusCode::FORBIDDEN);
    }
    if uri.path() != format!("/{}", shared.name) {
        return plain(StatusCode::NOT_FOUND);
    }
    let body = match method {
        Method::OPTIONS => return shared.allow(plain(StatusCode::NO_CONTENT)),
        Method::HEAD => match tokio::fs::metadata(&shared.served.path).await {
            Ok(file) => {
                let mut response = Response::new(Body::empty());
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(file.len()));
                return shared.allow(binary(response));
            }
            Err(_) => return plain(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Method::GET => match tokio::fs::File::open(&shared.served.path).await {
            Ok(file) => shared.stream(file),
            Err(_) => return plain(StatusCode::INTERNAL_SERVER_ERROR),
        },
        _ => return plain(StatusCode::METHOD_NOT_ALLOWED),
    };
    shared.allow(binary(Response::new(body)))
}

fn binary(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

impl Shared {
    /// Allows the one origin, and the UI's secure page to ask a loopback address at all.
    fn allow(&self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("access-control-allow-methods", HeaderValue::from_static("GET, HEAD"));
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
        response
    }

    fn stream(&self, file: tokio::fs::File) -> Body {
        let fetched = Arc::clone(&self.fetched);
        let chunks = futures_util::stream::unfold((file, fetched), |(mut file, fetched)| async move {
            let mut chunk = vec![0; 256 << 10];
            match file.read(&mut chunk).await {
                Ok(0) => {
                    fetched.notify_one();
                    None
                }
                Ok(size) => {
                    chunk.truncate(size);
                    Some((Ok::<_, io::Error>(Bytes::from(chunk)), (file, fetched)))
                }
                Err(error) => Some((Err(error), (file, fetched))),
            }
        });
        Body::from_stream(chunks)
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping_in_a_link() {
        let link = link(ORIGIN, 9001, Path::new("/x/a b&c#d.json.gz"), Some(View { start: -5, end: 70 }));
        assert_eq!(
            link,
            "https://ui.perfetto.dev/#!/?url=http://127.0.0.1:9001/a_b_c_d.json.gz&visStart=0&visEnd=70"
        );
    }
}
