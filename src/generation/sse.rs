//! Server-sent events, as far as streamed chat completions use them: the `data` of each
//! event, from bytes that may be cut anywhere (HTML standard, section 9.2.6).

/// Bytes that one event may have.
const MAX_EVENT: usize = 1 << 20;

/// An event without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

/// Collects bytes into events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return, which may be half of a line's end.
    returned: bool,
}

impl Events {
    /// Takes bytes and gives the data of the events that are complete now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.returned, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    /// Gives an event that the end of the stream has cut off from its empty line: some
    /// servers do not write the last one.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let last = self.end_line();
        last.or_else(|| self.end_line())
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = self.data.take()?;
            return Some(String::from_utf8_lossy(&data).into_owned());
        }
        let value = line.strip_prefix(b"data:")?;
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\r\n\r\ndata: {\"a\":\"ä漢\"}\r\n\r\nevent: x\ndata:one\ndata: two\nid: 7\n\ndata: 3\r\rdata: [DONE]\n\n";

    #[test]
    fn a_stream_may_be_cut_at_every_byte() {
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let mut events = Events::default();
            let mut data = events.push(&bytes[..cut]).expect("short");
            data.extend(events.push(&bytes[cut..]).expect("short"));
            assert_eq!(
                data,
                ["{\"a\":\"ä漢\"}", "one\ntwo", "3", "[DONE]"],
                "cut at {cut}"
            );
            assert_eq!(events.finish(), None);
        }
        let mut events = Events::default();
        let single: Vec<String> = bytes
            .iter()
            .flat_map(|byte| events.push(&[*byte]).expect("short"))
            .collect();
        assert_eq!(single.len(), 4);
    }

    #[test]
    fn the_last_event_needs_no_empty_line() {
        for rest in ["data: [DONE]", "data: [DONE]\n"] {
            let mut events = Events::default();
            assert_eq!(events.push(rest.as_bytes()), Ok(vec![]));
            assert_eq!(events.finish().as_deref(), Some("[DONE]"));
            assert_eq!(events.finish(), None);
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        let chunk = [b'x'; 1 << 16];
        let results: Vec<_> = (0..17).map(|_| events.push(&chunk)).collect();
        assert_eq!(results.last(), Some(&Err(TooLong)));
    }
}
