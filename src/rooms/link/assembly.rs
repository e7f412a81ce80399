//! Puts messages together from frames (RFC 6455, sections 5.4 to 5.6). That they are not
//! too many or too long is the guard's affair.

use std::str;

use actix_http::ws::{OpCode, Parser};
use actix_web::web::BytesMut;

use super::{Fault, Heard};

/// A message whose last frame is still to come.
#[derive(Debug)]
struct Begun {
    text: bool,
    bytes: Vec<u8>,
    /// Of `bytes`: known to be UTF-8.
    checked: usize,
}

/// The message in the making, if any.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Boxed: few sockets have one.
    begun: Option<Box<Begun>>,
}

impl Assembly {
    /// Takes the next frame; gives what it completes.
    ///
    /// # Errors
    /// When it may not come here, or holds what it must not.
    pub(super) fn take(
        &mut self,
        last: bool,
        opcode: OpCode,
        payload: BytesMut,
    ) -> Result<Option<Heard>, Fault> {
        match opcode {
            OpCode::Ping => return Ok(Some(Heard::Ping(payload.into()))),
            OpCode::Pong => return Ok(Some(Heard::Pong)),
            OpCode::Close => {
                let reason =
                    Parser::try_parse_close_payload(&payload).map_err(|_| Fault::PROTOCOL)?;
                return Ok(Some(Heard::Close(reason.map(|reason| reason.code.into()))));
            }
            OpCode::Text | OpCode::Binary if self.begun.is_none() => {
                self.begun = Some(Box::new(Begun {
                    text: opcode == OpCode::Text,
                    bytes: payload.into(),
                    checked: 0,
                }));
            }
            OpCode::Continue => {
                let begun = self.begun.as_mut().ok_or(Fault::PROTOCOL)?;
                begun.bytes.extend_from_slice(&payload);
            }
            OpCode::Text | OpCode::Binary | OpCode::Bad => return Err(Fault::PROTOCOL),
        }
        let Some(begun) = &mut self.begun else {
            return Ok(None);
        };
        if !last {
            if begun.text {
                begun.check()?;
            }
            return Ok(None);
        }
        let Some(begun) = self.begun.take() else {
            return Ok(None);
        };
        let Begun { text, bytes, .. } = *begun;
        Ok(Some(if text {
            Heard::Text(String::from_utf8(bytes).map_err(|_| Fault::NOT_UTF8)?)
        } else {
            Heard::Binary(bytes)
        }))
    }
}

impl Begun {
    /// Fails as soon as what is here cannot become UTF-8; a character may still be cut by
    /// the end of a frame.
    fn check(&mut self) -> Result<(), Fault> {
        match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Fault::NOT_UTF8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(
        assembly: &mut Assembly,
        last: bool,
        opcode: OpCode,
        payload: &[u8],
    ) -> Result<Option<Heard>, Fault> {
        assembly.take(last, opcode, BytesMut::from(payload))
    }

    proptest! {
        #[test]
        fn a_text_is_the_same_wherever_its_frames_cut_it(text in ".{0,40}", cut in 0usize..60) {
            let cut = cut.min(text.len());
            let (head, tail) = text.as_bytes().split_at(cut);
            let mut assembly = Assembly::default();
            prop_assert_eq!(take(&mut assembly, false, OpCode::Text, head), Ok(None));
            prop_assert_eq!(take(&mut assembly, true, OpCode::Ping, b"x"), Ok(Some(Heard::Ping(b"x".to_vec()))));
            prop_assert_eq!(take(&mut assembly, true, OpCode::Continue, tail), Ok(Some(Heard::Text(text.clone()))));
        }
    }

    #[test]
    fn what_cannot_become_utf8_fails_before_the_message_ends() {
        let mut assembly = Assembly::default();
        assert_eq!(
            take(&mut assembly, false, OpCode::Text, b"\xce"),
            Ok(None),
            "half a character"
        );
        assert_eq!(
            take(&mut assembly, false, OpCode::Continue, b"\xff"),
            Err(Fault::NOT_UTF8)
        );
    }

    #[test]
    fn frames_out_of_place_are_breaches() {
        let mut assembly = Assembly::default();
        assert_eq!(
            take(&mut assembly, true, OpCode::Continue, b""),
            Err(Fault::PROTOCOL)
        );
        assert_eq!(take(&mut assembly, false, OpCode::Text, b"a"), Ok(None));
        assert_eq!(
            take(&mut assembly, true, OpCode::Text, b"b"),
            Err(Fault::PROTOCOL)
        );
    }

    #[test]
    fn a_close_frame_holds_nothing_or_a_code_and_a_text() {
        let close = |payload: &[u8]| take(&mut Assembly::default(), true, OpCode::Close, payload);
        assert_eq!(close(b""), Ok(Some(Heard::Close(None))));
        assert_eq!(close(&[0x03, 0xe8]), Ok(Some(Heard::Close(Some(1000)))));
        for wrong in [&[0x03][..], &[0x03, 0xed], &[0x03, 0xe8, 0xff]] {
            assert_eq!(close(wrong), Err(Fault::PROTOCOL), "{wrong:?}");
        }
    }
}
