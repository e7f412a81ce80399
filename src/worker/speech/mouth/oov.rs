//! How words that no lexicon has are pronounced: hibari's small network, letter by letter.
//!
//! It reads at most [`LONGEST`] letters and answers with symbols that are decoded as in
//! connectionist temporal classification (Graves et al. 2006): repetitions count once, blanks
//! not at all. Both alphabets are those of `oov.json` beside the network.

use std::sync::{Mutex, PoisonError};

use misaki_rs::{Fallback, fallback::FallbackError};
use ort::{inputs, value::Tensor};

use super::graph::Graph;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyzª²³µ¹º¼½¾ÀÁÂÃÄÅÆÇÉÊÌÍÎÏÑÒÓÔÕÖØÚÜÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿĀāĂăąĆćČčĎďĐđĒēĕĖėęěĝĞğġģīĭİıķļĽľŁłńņňŋŌōŏőŒœŘřŚśŞşŠšţťūŭŮůŰųŵźŻżŽžƒơưǎǐǒǔǚșțɑɒɓəɛʃʻˈΒΓΔΚΛΜΟΠΣΥΦΧΨΩάαβγδεηθκλμνξπρστυφχψωАБВГДЕЖИКЛМНОПРСТФХШЬабвгдезиклмнопрстуфхцчшщыьэюяёԶաբգդեզիլկձղմյնոպտրւაევიკლმსშხṛ₁₂₃₄ₗﬀﬁﬂ";
const SOUNDS: &str = " ()-1AIOTWYabdfhijklmnpstuvwyzæðŋɑɔəɛɜɡɪɹʀʃʊʌʒʤʧˈˌθᵊᵻ";
const LONGEST: usize = 24;

/// The network.
pub(super) struct UnknownWords(Mutex<Graph>);

impl UnknownWords {
    pub(super) fn new(graph: Graph) -> Self {
        Self(Mutex::new(graph))
    }

    fn sounds(&self, word: &str) -> ort::Result<String> {
        let letter = |c| LETTERS.chars().position(|known| known == c);
        let letters: Vec<i64> = word
            .chars()
            .filter_map(letter)
            .map(|place| place as i64 + 1)
            .take(LONGEST)
            .collect();
        if letters.is_empty() {
            return Ok(String::new());
        }
        let mut graph = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let letters = Tensor::from_array(([1, letters.len()], letters))?;
        let outputs = graph.run(inputs!["chars" => letters])?;
        let (_, numbers) = outputs["ids"].try_extract_tensor::<i64>()?;
        Ok(decode(numbers))
    }
}

fn decode(numbers: &[i64]) -> String {
    let mut former = 0;
    let mut sounds = String::new();
    for &number in numbers {
        if number != former && number > 0 {
            sounds.extend(SOUNDS.chars().nth(number as usize - 1));
        }
        former = number;
    }
    sounds
}

impl Fallback for UnknownWords {
    fn phonemize(&self, word: &str) -> Result<String, FallbackError> {
        self.sounds(word).map_err(|error| {
            tracing::warn!(%error, "the network for unknown words failed");
            FallbackError::NoPhonemes {
                word: word.to_owned(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_count_once_and_blanks_part_them() {
        let number = |sound| SOUNDS.chars().position(|c| c == sound).expect("known") as i64 + 1;
        let (a, b) = (number('a'), number('b'));
        assert_eq!(decode(&[0, a, a, 0, a, b, b, 0]), "aab");
    }
}
