//! Somebody else's server, asked over `POST {url}/completions` with streaming, as llama.cpp,
//! vLLM and others speak it.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::bytes::Bytes;

use super::{
    exchange::{Answer, Arrival, Ask, TOP_K},
    machine::Process,
};
use crate::generation::sse::Events;

/// How long the other server may be silent.
const PATIENCE: Duration = Duration::from_secs(180);

/// Bytes of an error that are passed on.
const MAX_PROBLEM: usize = 500;

/// The other server. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    client: reqwest::Client,
    url: String,
    pub model: String,
    /// What it says of its own build, where it does.
    pub build: String,
    /// Where it runs on this machine.
    pub process: Option<Process>,
}

impl Peer {
    /// Greets the server at `url`, the part before `/completions`.
    ///
    /// # Errors
    /// When nobody answers there, or with no model.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/');
        let address = reqwest::Url::parse(url).with_context(|| format!("bad address {url:?}"))?;
        let client = reqwest::Client::builder()
            .read_timeout(PATIENCE)
            // A server may close a connection that waits, just when it is used again.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .tcp_nodelay(true)
            .build()?;
        let models: Value = get(&client, &format!("{url}/models")).await?;
        let model = models
            .pointer("/data/0/id")
            .and_then(Value::as_str)
            .with_context(|| format!("{url} names no model"))?
            .to_owned();
        // llama.cpp's own; others do not have it.
        let props = get(&client, address.join("/props")?.as_str()).await;
        let build = props
            .ok()
            .and_then(|props: Value| Some(props.get("build_info")?.as_str()?.to_owned()))
            .unwrap_or_default();
        let local = address.host_str().is_some_and(|host| {
            let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        });
        let port = address.port_or_known_default().filter(|_| local);
        Ok(Self {
            client,
            url: url.to_owned(),
            model,
            build,
            process: port.and_then(Process::listening_at),
        })
    }

    /// Asks for text and waits for its end.
    ///
    /// # Errors
    /// When the server cannot be reached, answers with an error or breaks off.
    pub async fn ask(&self, ask: &Ask) -> anyhow::Result<Answer> {
        let body = json!({
            "model": self.model,
            "prompt": ask.prompt,
            "max_tokens": ask.tokens,
            "temperature": ask.temperature,
            "seed": ask.seed,
            "stream": true,
            "stream_options": {"include_usage": true},
            "ignore_eos": true,
            "top_k": TOP_K,
            "top_p": 1.0,
            "min_p": 0.0,
        });
        let sent = Instant::now();
        let (reads, ended) = self
            .read(body)
            .await
            .context("the other server is lost; if it runs here, look at its log")?;
        answer(sent, &reads, ended)
    }

    /// What comes back, read by read: nothing is looked into while the clock runs.
    async fn read(&self, body: Value) -> anyhow::Result<(Vec<(Instant, Bytes)>, Instant)> {
        let url = format!("{}/completions", self.url);
        let mut response = self.client.post(url).json(&body).send().await?;
        let status = response.status();
        if !status.is_success() {
            let mut problem = response.text().await.unwrap_or_default();
            problem.truncate(problem.floor_char_boundary(MAX_PROBLEM));
            anyhow::bail!("HTTP {status}: {problem}");
        }
        let mut reads = Vec::new();
        while let Some(bytes) = response.chunk().await? {
            reads.push((Instant::now(), bytes));
        }
        Ok((reads, Instant::now()))
    }
}

async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Value> {
    let response = client.get(url).send().await?.error_for_status()?;
    Ok(response.json().await?)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u32>,
}

/// Makes an answer of what was read. The tokens are spread evenly over the events with
/// text: the protocol does not say how many each has, and llama.cpp sends one in each.
fn answer(sent: Instant, reads: &[(Instant, Bytes)], ended: Instant) -> anyhow::Result<Answer> {
    let mut events = Events::default();
    let mut text = String::new();
    let mut arrivals = Vec::new();
    let mut usage = None;
    let mut complete = false;
    for (at, bytes) in reads {
        let mut parts = 0u32;
        for data in events.push(bytes)? {
            if data == "[DONE]" {
                complete = true;
                continue;
            }
            let event: Event = serde_json::from_str(&data).with_context(|| data.clone())?;
            if let Some(error) = event.error {
                anyhow::bail!("the other server says {error}");
            }
            usage = event.usage.or(usage);
            for part in event.choices.into_iter().filter_map(|choice| choice.text) {
                parts += u32::from(!part.is_empty());
                text.push_str(&part);
            }
        }
        if parts > 0 {
            arrivals.push(Arrival {
                at: *at,
                tokens: f64::from(parts),
            });
        }
    }
    anyhow::ensure!(complete, "the answer broke off");
    let usage: Usage = usage.context("the other server does not say how many tokens it took")?;
    let parts: f64 = arrivals.iter().map(|arrival| arrival.tokens).sum();
    for arrival in &mut arrivals {
        arrival.tokens *= f64::from(usage.completion_tokens) / parts;
    }
    Ok(Answer {
        sent,
        arrivals,
        ended,
        text,
        prompt_tokens: usage.prompt_tokens,
        output_tokens: usage.completion_tokens,
        reused_tokens: usage
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens)
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> String {
        format!("data: {}\n\n", json!({"choices": [{"text": text}]}))
    }

    fn usage(tokens: u32) -> String {
        let usage = json!({"prompt_tokens": 7, "completion_tokens": tokens,
            "prompt_tokens_details": {"cached_tokens": 3}});
        format!(
            "data: {}\n\ndata: [DONE]\n\n",
            json!({"choices": [], "usage": usage})
        )
    }

    fn read(parts: &[String]) -> anyhow::Result<Answer> {
        let sent = Instant::now();
        let at = |n: usize| sent + Duration::from_millis(n as u64);
        let reads: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(n, part)| (at(n + 1), Bytes::from(part.clone())))
            .collect();
        answer(sent, &reads, at(parts.len() + 1))
    }

    #[test]
    fn the_tokens_of_the_parts_are_those_that_the_server_counted() {
        let parts = [event("a") + &event("b"), event(""), event("c"), usage(6)];
        let answer = read(&parts).expect("whole");
        let tokens: Vec<f64> = answer
            .arrivals
            .iter()
            .map(|arrival| arrival.tokens)
            .collect();
        assert_eq!(tokens, [4.0, 2.0]);
        assert_eq!(answer.text, "abc");
        assert_eq!(answer.first_token(), Duration::from_millis(1));
        assert_eq!(answer.last() - answer.sent, Duration::from_millis(3));
        assert_eq!(
            (
                answer.prompt_tokens,
                answer.output_tokens,
                answer.reused_tokens
            ),
            (7, 6, 3)
        );
    }

    #[test]
    fn an_answer_that_breaks_off_or_counts_nothing_is_no_measurement() {
        let broken = read(&[event("a")]).expect_err("no end");
        assert!(broken.to_string().contains("broke off"));
        let uncounted = read(&[event("a"), "data: [DONE]\n\n".into()]).expect_err("no usage");
        assert!(uncounted.to_string().contains("how many tokens"));
        let error = read(&["data: {\"error\": \"full\"}\n\n".into()]).expect_err("an error");
        assert!(error.to_string().contains("full"));
    }
}
