//! Ways in which a kind speaks with a server, as far as a server must play along before it can
//! misbehave.

/// A way of asking, and how it comes to where a server may misbehave.
#[derive(Clone, Debug)]
pub(crate) struct Talk<K> {
    pub(crate) kind: K,
    pub(crate) over: Over,
}

/// What it is spoken over.
#[derive(Clone, Debug)]
pub(crate) enum Over {
    Stream {
        /// What precedes TLS; `None` without TLS.
        before_tls: Option<Vec<Turn>>,
    },
    Datagrams,
}

/// What a server does, as the kind wants it.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    Says(Vec<u8>),
    /// So many bytes, or those that come together.
    Hears(Option<usize>),
}

impl<K> Talk<K> {
    /// Over TCP.
    pub(crate) fn plain(kind: K) -> Self {
        let over = Over::Stream { before_tls: None };
        Self { kind, over }
    }

    /// Over TLS from the start.
    pub(crate) fn within_tls(kind: K) -> Self {
        Self::asks_for_tls(kind, Vec::new())
    }

    /// Over TLS that begins after some turns.
    pub(crate) fn asks_for_tls(kind: K, turns: Vec<Turn>) -> Self {
        let over = Over::Stream {
            before_tls: Some(turns),
        };
        Self { kind, over }
    }

    /// Over UDP.
    pub(crate) fn datagrams(kind: K) -> Self {
        let over = Over::Datagrams;
        Self { kind, over }
    }

    pub(crate) fn map<L>(self, change: impl FnOnce(K) -> L) -> Talk<L> {
        let Self { kind, over } = self;
        let kind = change(kind);
        Talk { kind, over }
    }
}

impl Turn {
    pub(crate) fn says(words: impl Into<Vec<u8>>) -> Self {
        Self::Says(words.into())
    }
}
