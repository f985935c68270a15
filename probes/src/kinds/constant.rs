//! Servers whose state is known without asking: on, and off.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// A state that the configuration says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Constant {
    /// Up.
    On,
    /// Down.
    Off,
}

impl Ask for Constant {
    const PORT: bool = false;

    async fn ask(&self, _probing: &mut Probing) -> Result<Answer, Failure> {
        match self {
            Self::On => Ok(Answer::good()),
            Self::Off => Err(Failure::Told("it is off by configuration".to_owned())),
        }
    }

    fn word(&self) -> Option<&'static str> {
        Some(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ProbeKind;
    use crate::testing::{address, ask, good};

    #[tokio::test]
    async fn nobody_is_asked() {
        let on = ask(address(1), ProbeKind::Constant(Constant::On)).await;
        assert_eq!(on, good());
        let off = ask(address(1), ProbeKind::Constant(Constant::Off)).await;
        assert_eq!(off.unwrap_err().to_string(), "it is off by configuration");
    }
}
