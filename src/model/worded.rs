//! Enums whose variants are words.

/// One of a few words.
pub trait Word: Copy + 'static {
    /// All of them.
    fn all() -> &'static [Self];
    /// The word in files, tables, logs and JSON.
    fn word(self) -> &'static str;
}

/// Makes an enum of a table: each variant with its name in files, tables, logs and JSON. Where it is said
/// what it is, it is read from these names too.
macro_rules! worded {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident $(read as $what:literal)? {
            $($(#[$on_variant:meta])* $variant:ident $(= $number:literal)? $word:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$on_variant])* $variant $(= $number)?,)+
        }

        impl $name {
            /// All of them.
            $visibility const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// The name in files, tables, logs and JSON.
            $visibility fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl $crate::model::Word for $name {
            fn all() -> &'static [Self] {
                &Self::ALL
            }

            fn word(self) -> &'static str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $(
            impl std::str::FromStr for $name {
                type Err = $crate::model::ParseError;

                fn from_str(text: &str) -> Result<Self, Self::Err> {
                    let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
                    found.ok_or_else(|| {
                        let words = $crate::model::choose(&Self::ALL.map(Self::as_str));
                        $crate::model::ParseError::new($what, text, words)
                    })
                }
            }
        )?
    };
}
pub(crate) use worded;
