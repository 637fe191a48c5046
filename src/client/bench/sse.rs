//! Server-sent events, cut out of whatever chunks the connection delivers, by the rules of the HTML standard ("parsing
//! an event stream").

/// Collects bytes and hands out whole messages.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read.
    read: usize,
    /// A line was read: the mark of the byte order stands in front of the first one only.
    begun: bool,
    /// The last line ended with a carriage return: a line feed behind it belongs to that end.
    carriage: bool,
    /// The data of the message so far; `None` before its first `data` line.
    data: Option<Vec<u8>>,
}

impl Splitter {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.read));
        self.buffer.extend_from_slice(chunk);
    }

    /// The data of the next whole message; messages without any and `[DONE]` are passed over.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        while let Some(line) = self.line() {
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            match self.data.take() {
                Some(data) if !matches!(data.trim_ascii(), b"" | b"[DONE]") => return Some(data),
                _ => {}
            }
        }
        None
    }

    /// The next whole line without its end: a line feed, a carriage return, or both.
    fn line(&mut self) -> Option<Vec<u8>> {
        if self.carriage && self.buffer.get(self.read)? == &b'\n' {
            self.read += 1;
        }
        self.carriage = false;
        let rest = self.buffer.get(self.read..)?;
        let end = memchr::memchr2(b'\n', b'\r', rest)?;
        let mut line = rest[..end].to_vec();
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        self.carriage = rest[end] == b'\r';
        self.read += end + 1;
        Some(line)
    }

    /// `NAME:VALUE`, with one blank that may stand before the value. A line without a name is a comment, and all names
    /// but `data` say nothing about the answer.
    fn field(&mut self, line: &[u8]) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        if name != b"data" {
            return;
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }

    /// Nothing was received after the last whole message.
    pub(super) fn is_done(&self) -> bool {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        self.data.is_none() && rest.trim_ascii().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(chunks: &[&[u8]]) -> (Vec<String>, bool) {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(message) = splitter.next() {
                out.push(String::from_utf8(message).unwrap());
            }
        }
        (out, splitter.is_done())
    }

    #[test]
    fn chunks_may_cut_anywhere() {
        let stream =
            b": ping\n\ndata: {\"a\":1}\n\ndata: {\"b\":2}\r\n\r\ndata:{\"c\":\rdata:3}\r\rdata: [DONE]\n\n";
        let whole = (["{\"a\":1}", "{\"b\":2}", "{\"c\":\n3}"].map(str::to_owned).to_vec(), true);
        assert_eq!(messages(&[stream]), whole);
        for cut in 0..stream.len() {
            assert_eq!(messages(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        }
    }

    /// Each of these was lost, or gave broken JSON.
    #[test]
    fn a_message_is_more_than_one_line_of_data() {
        for block in [
            ": keep-alive\ndata: 1\n\n",
            "event: token\ndata: 1\n\n",
            "\ndata: 1\n\n",
            "data: 1\nid: 7\n\n",
            "id: 7\r\ndata: 1\r\nretry: 10\r\n\r\n",
            "data: 1\n: a comment\n\n",
            "\u{feff}data: 1\n\n",
            "data\ndata: 1\n\n",
        ] {
            let (found, done) = messages(&[block.as_bytes()]);
            let found: Vec<&str> = found.iter().map(|message| message.trim()).collect();
            assert_eq!((found, done), (vec!["1"], true), "{block:?}");
        }
        assert_eq!(messages(&[b"data: {\"a\":\ndata: 1}\n\n"]).0, ["{\"a\":\n1}"]);
        // One blank belongs to the field, the others to the value; a name of other letters is another name.
        assert_eq!(messages(&[b"data:  1\n\ndatum: 2\n\n"]).0, [" 1"]);
    }

    #[test]
    fn an_end_in_the_middle_is_seen() {
        for cut in ["data: 1", "data: 1\n", ": comm"] {
            assert_eq!(messages(&[cut.as_bytes()]), (Vec::new(), false), "{cut:?}");
        }
        assert_eq!(messages(&[b"data: 1\n\n", b"\r\n"]), (vec!["1".to_owned()], true));
    }
}
