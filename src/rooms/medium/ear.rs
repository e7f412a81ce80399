//! A question that is listened to.

use std::sync::Arc;

use actix::Recipient;

use super::{Rite, Said};
use crate::{
    generation::speech::{Heard, Listening},
    rooms::messages::{FromMedium, MediumSays},
};

/// Reports what is understood until all of it is.
pub(crate) async fn hear_out(
    rite: Arc<Rite>,
    utterance: u32,
    mut listening: Listening,
    room: Recipient<FromMedium>,
) {
    let says = loop {
        match listening.next().await {
            Some(Ok(Heard::Partial(text))) => room.do_send(FromMedium {
                says: MediumSays::Hearing { utterance, text },
            }),
            Some(Ok(Heard::Transcript(transcript))) => {
                let language = transcript.language.0;
                let inner = rite.inner(&transcript.text, &language).await;
                let said = Said {
                    text: transcript.text,
                    language,
                    inner,
                    print: transcript.print,
                };
                break MediumSays::Understood { utterance, said };
            }
            Some(Err(error)) => {
                let why = error.to_string();
                break MediumSays::Deaf { utterance, why };
            }
            None => {
                let why = "no transcript came".to_owned();
                break MediumSays::Deaf { utterance, why };
            }
        }
    };
    room.do_send(FromMedium { says });
}
