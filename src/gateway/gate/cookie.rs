//! Cookies of the gate: written for one purpose, read from whatever a client sends.

use std::{fmt, time::Duration};

use actix_web::http::header::{self, HeaderMap};

use crate::rooms::identity::Token;

/// The first token that the headers hold under that name. Anything else is passed over.
pub(super) fn find(headers: &HeaderMap, name: &str) -> Option<Token> {
    headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .find_map(|(_, value)| Token::parse(value))
}

/// What a browser is to keep: for us alone, out of reach of scripts, sent by our own pages
/// alone. No `Debug`: its value is a secret.
pub(super) struct Cookie {
    name: &'static str,
    value: String,
    keep: Duration,
    secure: bool,
}

impl Cookie {
    pub(super) fn new(name: &'static str, token: &Token, keep: Duration, secure: bool) -> Self {
        Self {
            name,
            value: token.expose().to_owned(),
            keep,
            secure,
        }
    }

    /// Takes it away again.
    pub(super) fn gone(name: &'static str, secure: bool) -> Self {
        Self {
            name,
            value: String::new(),
            keep: Duration::ZERO,
            secure,
        }
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, value, keep, ..
        } = self;
        let seconds = keep.as_secs();
        write!(
            f,
            "{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        )?;
        if self.secure {
            f.write_str("; Secure")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn found(lines: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                header::COOKIE,
                HeaderValue::from_bytes(line).expect("bytes"),
            );
        }
        find(&headers, "key").map(|token| token.expose().to_owned())
    }

    #[test]
    fn a_token_is_found_among_whatever_else_is_sent() {
        let token = "0123456789abcdef".repeat(4);
        let line = |text: String| found(&[text.as_bytes()]);
        assert_eq!(line(format!("key={token}")).as_ref(), Some(&token));
        assert_eq!(line(format!("a=b;key={token} ;c")).as_ref(), Some(&token));
        assert_eq!(
            found(&[b"a=1", format!("key=x; key={token}").as_bytes()]).as_ref(),
            Some(&token)
        );
        for garbage in [
            String::new(),
            ";;;=;=".to_owned(),
            "key".to_owned(),
            "key=".to_owned(),
            format!("Key={token}"),
            format!("xkey={token}"),
            format!("key={token}0"),
            format!("key=\"{token}\""),
            format!("key={}", token.to_uppercase()),
            format!("key={}", "ж".repeat(32)),
            "key=".repeat(10_000),
        ] {
            assert_eq!(line(garbage.clone()), None, "{garbage}");
        }
        assert_eq!(found(&[b"key=\xff\xfe\x80"]), None);
    }

    #[test]
    fn a_cookie_is_out_of_reach_of_scripts_and_of_other_sites() {
        let token = Token::draw();
        let keep = Duration::from_secs(60);
        let plain = Cookie::new("key", &token, keep, false).to_string();
        let expected = format!(
            "key={}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict",
            token.expose()
        );
        assert_eq!(plain, expected);
        let secure = Cookie::new("key", &token, keep, true).to_string();
        assert_eq!(secure, expected + "; Secure");
        assert!(
            Cookie::gone("key", true)
                .to_string()
                .starts_with("key=; Path=/; Max-Age=0;")
        );
    }
}
