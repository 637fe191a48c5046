//! What a server says of itself, asked with short patience: for quiet, for health, and for the last known
//! status in messages.

use std::time::Duration;

use serde::Deserialize;

use super::http::Client;

/// These routes answer at once; a server that is stuck must not hold up the message about it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct OpenRequests {
    server_load: u64,
}

impl Client {
    /// Status of `/health`.
    pub(crate) async fn health(&self) -> Result<u16, String> {
        match self.get("/health").timeout(PATIENCE).send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) if error.is_timeout() => {
                Err(format!("/health does not answer within {} s", PATIENCE.as_secs()))
            }
            Err(error) => Err(format!("/health: {error}")),
        }
    }

    /// What the server still runs, in words; `None` when it says that it runs nothing, or has
    /// neither of the routes that tell.
    pub(crate) async fn busy(&self) -> Option<String> {
        let running = self.running().await.filter(|running| *running > 0.0);
        if let Some(running) = running {
            return Some(format!("/metrics says that {running} requests run or wait"));
        }
        let load = self.load().await.filter(|load| *load > 0)?;
        Some(format!("/load says that {load} requests are open"))
    }

    /// The server's state for a message about something that did not come.
    pub(crate) async fn last_seen(&self) -> String {
        let health = match self.health().await {
            Ok(status) => format!("/health answers {status}"),
            Err(reason) => return reason,
        };
        match self.running().await {
            Some(running) => format!("{health}, {running} requests run or wait"),
            None => health,
        }
    }

    async fn load(&self) -> Option<u64> {
        let answer = self.get("/load").timeout(PATIENCE).send().await.ok()?;
        Some(answer.error_for_status().ok()?.json::<OpenRequests>().await.ok()?.server_load)
    }

    async fn running(&self) -> Option<f64> {
        let answer = self.get("/metrics").timeout(PATIENCE).send().await.ok()?;
        running_in(&answer.error_for_status().ok()?.text().await.ok()?)
    }
}

/// Running and waiting requests of all engines; `None` when the gauges are not there.
fn running_in(metrics: &str) -> Option<f64> {
    const GAUGES: [&str; 2] = ["vllm:num_requests_running", "vllm:num_requests_waiting"];
    let mut sum = None;
    for line in metrics.lines() {
        let named = GAUGES.iter().find_map(|gauge| line.strip_prefix(gauge));
        // Another gauge may begin with the same name; labels and values follow this one's.
        let Some(rest) = named.filter(|rest| rest.starts_with(['{', ' '])) else { continue };
        let value: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        *sum.get_or_insert(0.0) += value;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_gauges_of_all_engines() {
        let metrics = "# TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"a b\"} 2.0\n\
            vllm:num_requests_running{engine=\"1\"} 1.0\n\
            vllm:num_requests_waiting{engine=\"0\"} 0.0\n\
            vllm:num_requests_waiting_by_reason{engine=\"0\"} 7.0\n";
        assert_eq!(running_in(metrics), Some(3.0));
        assert_eq!(running_in("python_info 1.0\n"), None);
    }
}
