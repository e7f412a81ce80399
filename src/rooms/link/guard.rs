//! Reads the headers of WebSocket frames before the codec does (RFC 6455, section 5.2).
//!
//! The codec waits for a whole frame before it looks at its size, so a header that announces
//! gigabytes makes it buffer gigabytes; and it passes on any number of continuations. Here a
//! header that no client of ours would send ends the stream before its payload is kept.

use super::FrameLimits;

/// Longest payload of a control frame, bytes (RFC 6455, section 5.5).
const MAX_CONTROL: u64 = 125;

/// Longest header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// What was wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offence {
    /// The frame, or the message with it, is longer than allowed.
    TooLong,
    TooManyFragments,
    /// Reserved bits or opcodes, an unmasked frame, a control frame that is long or in parts.
    Malformed,
}

/// Follows a stream of bytes from header to header. Holds no payload.
#[derive(Debug)]
pub(super) struct FrameGuard {
    limits: FrameLimits,
    header: [u8; MAX_HEADER],
    have: usize,
    /// Bytes of payload until the next header.
    payload: u64,
    /// Frames and bytes of the message that is not finished yet.
    fragments: u32,
    gathered: u64,
}

impl FrameGuard {
    pub(super) fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            header: [0; MAX_HEADER],
            have: 0,
            payload: 0,
            fragments: 0,
            gathered: 0,
        }
    }

    /// Looks at the next bytes, cut anywhere. Gives how many of them may pass, and what is
    /// wrong with the frame behind them; nothing may be asked after that.
    pub(super) fn inspect(&mut self, all: &[u8]) -> (usize, Result<(), Offence>) {
        let mut bytes = all;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let here = usize::try_from(self.payload)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            self.header[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have >= 2 && self.have == self.header_len() {
                if let Err(offence) = self.judge() {
                    let looked_at = all.len() - bytes.len();
                    return (looked_at.saturating_sub(self.have), Err(offence));
                }
                self.have = 0;
            }
        }
        (all.len(), Ok(()))
    }

    /// Length of the header, once its first two bytes are there.
    fn header_len(&self) -> usize {
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn announced(&self) -> u64 {
        let bytes = match self.header[1] & 0x7f {
            126 => &self.header[2..4],
            127 => &self.header[2..10],
            short => return u64::from(short),
        };
        bytes
            .iter()
            .fold(0, |length, byte| (length << 8) | u64::from(*byte))
    }

    fn judge(&mut self) -> Result<(), Offence> {
        let last = self.header[0] & 0x80 != 0;
        let reserved = self.header[0] & 0x70;
        let opcode = self.header[0] & 0x0f;
        let masked = self.header[1] & 0x80 != 0;
        let length = self.announced();
        if reserved != 0 || !masked {
            return Err(Offence::Malformed);
        }
        match opcode {
            0x8..=0xa if last && length <= MAX_CONTROL => {}
            0x0..=0x2 => {
                if opcode != 0 {
                    self.fragments = 0;
                    self.gathered = 0;
                }
                self.fragments += 1;
                self.gathered = self.gathered.saturating_add(length);
                if self.gathered > self.limits.message as u64 {
                    return Err(Offence::TooLong);
                }
                if self.fragments > self.limits.frames {
                    return Err(Offence::TooManyFragments);
                }
                if last {
                    self.fragments = 0;
                    self.gathered = 0;
                }
            }
            _ => return Err(Offence::Malformed),
        }
        self.payload = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        message: 1000,
        frames: 32,
    };

    /// A masked frame's header and as much payload as asked for.
    fn frame(first: u8, announced: u64, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        if let Ok(length @ 0..=125) = u8::try_from(announced) {
            frame.push(0x80 | length);
        } else if let Ok(length) = u16::try_from(announced) {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        } else {
            frame.push(0x80 | 127);
            frame.extend(announced.to_be_bytes());
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(vec![0x55; payload]);
        frame
    }

    fn whole(first: u8, length: usize) -> Vec<u8> {
        frame(first, length as u64, length)
    }

    fn inspect(bytes: &[u8]) -> Result<(), Offence> {
        FrameGuard::new(LIMITS).inspect(bytes).1
    }

    #[test]
    fn a_header_that_announces_too_much_is_stopped_before_its_payload() {
        for announced in [1001, 65_536, 300 << 20, u64::MAX] {
            assert_eq!(inspect(&frame(0x81, announced, 0)), Err(Offence::TooLong));
        }
        assert_eq!(inspect(&whole(0x81, 1000)), Ok(()));
    }

    #[test]
    fn fragments_are_counted_and_summed_across_control_frames() {
        let mut long = whole(0x01, 600);
        long.extend(whole(0x89, 5));
        long.extend(whole(0x00, 401));
        assert_eq!(inspect(&long), Err(Offence::TooLong));

        let mut many = whole(0x01, 1);
        for _ in 0..LIMITS.frames {
            many.extend(whole(0x00, 0));
        }
        assert_eq!(inspect(&many), Err(Offence::TooManyFragments));
    }

    #[test]
    fn a_finished_message_leaves_no_debt_to_the_next() {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(whole(0x01, 300));
            bytes.extend(whole(0x80, 300));
            bytes.extend(whole(0x81, 900));
        }
        assert_eq!(inspect(&bytes), Ok(()));
    }

    #[test]
    fn what_the_protocol_forbids_is_malformed() {
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x8b, 0x0f, 0x09, 0x08] {
            assert_eq!(
                inspect(&whole(first, 1)),
                Err(Offence::Malformed),
                "{first:#x}"
            );
        }
        assert_eq!(inspect(&whole(0x89, 126)), Err(Offence::Malformed));
        assert_eq!(
            inspect(&[0x81, 0x01, b'a']),
            Err(Offence::Malformed),
            "unmasked"
        );
    }

    #[test]
    fn what_came_before_an_offence_passes() {
        let mut bytes = whole(0x81, 3);
        let good = bytes.len();
        bytes.extend(whole(0xc1, 3));
        let (passed, verdict) = FrameGuard::new(LIMITS).inspect(&bytes);
        assert_eq!((passed, verdict), (good, Err(Offence::Malformed)));
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            frames in proptest::collection::vec((any::<u8>(), 0usize..1200), 1..8),
            cuts in proptest::collection::vec(1usize..64, 1..50),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(first, length)| whole(*first, *length)).collect();
            let at_once = inspect(&bytes);
            let mut guard = FrameGuard::new(LIMITS);
            let mut rest = bytes.as_slice();
            let mut result = Ok(());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                result = guard.inspect(now).1;
                rest = later;
                if result.is_err() || rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(result, at_once);
        }
    }
}
