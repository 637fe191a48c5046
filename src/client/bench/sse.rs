//! Server-sent events, cut out of whatever chunks the connection delivers.

use memchr::memmem;

/// Collects bytes and hands out whole messages.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: Vec<u8>,
}

impl Splitter {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The data of the next whole message; comments and `[DONE]` are passed over. Messages end with
    /// a blank line, whatever the line ends.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let plain = memmem::find(&self.buffer, b"\n\n").map(|at| (at, 2));
            let carriage = memmem::find(&self.buffer, b"\r\n\r\n").map(|at| (at, 4));
            let (at, length) = plain.into_iter().chain(carriage).min()?;
            let message: Vec<u8> = self.buffer.drain(..at + length).take(at).collect();
            let data = message.strip_prefix(b"data:").map(<[u8]>::trim_ascii);
            match data {
                None | Some(b"[DONE]" | b"") => {}
                Some(data) => return Some(data.to_vec()),
            }
        }
    }

    /// What was received after the last whole message.
    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.trim_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(message) = splitter.next() {
                out.push(String::from_utf8(message).unwrap());
            }
        }
        out
    }

    #[test]
    fn chunks_may_cut_anywhere() {
        let stream = b": ping\n\ndata: {\"a\":1}\n\ndata: {\"b\":2}\r\n\r\ndata: [DONE]\n\n";
        let whole = messages(&[stream]);
        assert_eq!(whole, ["{\"a\":1}", "{\"b\":2}"]);
        for cut in 0..stream.len() {
            assert_eq!(messages(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        }
    }
}
