//! What is wrong with a configuration file, where, and what to write instead.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// Bytes of the file's text.
pub(super) type Span = Range<usize>;

/// Lines between two places of one diagnostic that are still shown as one piece of text.
const NEAR: usize = 12;

/// Diagnostics that are rendered in full; what is beyond is counted.
const SHOWN: usize = 100;

/// One thing that is wrong, with its place in the file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diagnostic {
    /// The configuration file.
    pub file: String,
    /// Line, from 1; `None` when the fault is of the whole file.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What stands at the place, or is expected there.
    pub label: Option<String>,
    /// What the operator may do.
    pub help: Option<String>,
    /// A second place that the fault is about.
    pub related: Option<Related>,
    #[serde(skip)]
    span: Option<Span>,
}

/// The second place of a diagnostic.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Related {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is there.
    pub message: String,
    #[serde(skip)]
    span: Span,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// For files, pipes and logs.
    Plain,
    /// For terminals, with escape sequences.
    Coloured,
}

/// Everything that is wrong with a configuration file, in the order of its text. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    text: String,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report about a file as a whole, which could not be read or understood as text.
    pub(super) fn of_file(file: &str, message: String, help: Option<String>) -> Self {
        let diagnostic = Diagnostic {
            file: file.to_owned(),
            line: None,
            column: None,
            message,
            label: None,
            help,
            related: None,
            span: None,
        };
        Self {
            text: String::new(),
            diagnostics: vec![diagnostic],
        }
    }

    /// A report of faults found in `text`.
    pub(super) fn of_faults(file: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| {
            (a.span.start, a.span.end, &a.message).cmp(&(b.span.start, b.span.end, &b.message))
        });
        let lines = Lines::new(text);
        let diagnostics = faults
            .into_iter()
            .map(|fault| fault.locate(file, text, &lines))
            .collect();
        Self {
            text: text.to_owned(),
            diagnostics,
        }
    }

    /// The faults, in the order of the text; serialisable one by one.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The report as text for people, each fault with its line quoted and marked.
    ///
    /// Ends with a line that counts the faults. More than a hundred are counted, not shown.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        }
        .decor_style(DecorStyle::Ascii);
        let lines = Lines::new(&self.text);
        let mut out = String::new();
        for diagnostic in self.diagnostics.iter().take(SHOWN) {
            out.push_str(&renderer.render(&[diagnostic.group(&self.text, &lines)]));
            out.push_str("\n\n");
        }
        if let Some(first) = self.diagnostics.first() {
            let count = match self.diagnostics.len() {
                1 => "1 error".to_owned(),
                n if n > SHOWN => format!("{n} errors, of which the first {SHOWN} are shown"),
                n => format!("{n} errors"),
            };
            out.push_str(&format!("{}: {count}\n", first.file));
        }
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Report {}

impl Serialize for Report {
    /// A list of diagnostics.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.diagnostics.serialize(serializer)
    }
}

impl Diagnostic {
    fn group<'t>(&'t self, text: &'t str, lines: &Lines) -> Group<'t> {
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.message));
        if let Some(span) = &self.span {
            let related = self.related.as_ref();
            let near = related.filter(|other| {
                lines
                    .line(other.span.start)
                    .abs_diff(lines.line(span.start))
                    <= NEAR
            });
            let mut snippet = lines
                .window(&self.file, text, span, near.map(|other| &other.span))
                .with(AnnotationKind::Primary, span, self.label.as_deref());
            if let Some(other) = near {
                snippet = snippet.with(AnnotationKind::Context, &other.span, Some(&other.message));
            }
            group = group.element(snippet.snippet);
            if let Some(other) = related.filter(|_| near.is_none()) {
                group = group.element(
                    lines
                        .window(&self.file, text, &other.span, None)
                        .with(AnnotationKind::Context, &other.span, Some(&other.message))
                        .snippet,
                );
            }
        }
        match &self.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }
}

/// A piece of the file's text that is being annotated with spans of the whole text.
struct Window<'t> {
    snippet: Snippet<'t, annotate_snippets::Annotation<'t>>,
    start: usize,
    end: usize,
}

impl<'t> Window<'t> {
    fn with(mut self, kind: AnnotationKind, span: &Span, label: Option<&'t str>) -> Self {
        let start = span.start.clamp(self.start, self.end) - self.start;
        let end = span.end.clamp(self.start, self.end) - self.start;
        let annotation = kind.span(start..end.max(start)).label(label);
        self.snippet = self.snippet.annotation(annotation);
        self
    }
}

/// Where each line of a text starts.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { starts }
    }

    /// The line, from 0, that holds the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    fn start(&self, line: usize) -> usize {
        self.starts
            .get(line)
            .or_else(|| self.starts.last())
            .copied()
            .unwrap_or(0)
    }

    /// Line and column, both from 1; the column counts characters.
    fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let before = text.get(self.start(line)..offset).unwrap_or("");
        (line + 1, before.chars().count() + 1)
    }

    /// The lines of `span`, and of `other`, as a snippet without annotations. Only these are
    /// handed to the renderer, whose work grows with the text that it gets.
    fn window<'t>(
        &self,
        file: &'t str,
        text: &'t str,
        span: &Span,
        other: Option<&Span>,
    ) -> Window<'t> {
        let other = other.unwrap_or(span);
        let first = self.line(span.start.min(other.start));
        let last = self.line(span.end.max(other.end).saturating_sub(1));
        let start = self.start(first);
        let end = self
            .starts
            .get(last.max(first) + 1)
            .copied()
            .unwrap_or(text.len());
        let piece = text
            .get(start..end)
            .unwrap_or("")
            .trim_end_matches(['\n', '\r']);
        Window {
            snippet: Snippet::source(printable(piece))
                .line_start(first + 1)
                .path(file),
            start,
            end: start + piece.len(),
        }
    }
}

/// Replaces the control characters that the renderer lets pass and a terminal may obey (U+0080 to
/// U+009F), by one of as many bytes, so that places stay right.
fn printable(text: &str) -> Cow<'_, str> {
    let control = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if text.contains(control) {
        text.replace(control, "\u{b7}").into()
    } else {
        text.into()
    }
}

/// A diagnostic in the making: its places are still bytes.
#[derive(Debug)]
pub(super) struct Fault {
    span: Span,
    message: String,
    label: Option<String>,
    help: Option<String>,
    related: Option<Box<(Span, String)>>,
}

impl Fault {
    pub(super) fn new(span: &Span, message: impl Into<String>) -> Self {
        Self {
            span: span.clone(),
            message: message.into(),
            label: None,
            help: None,
            related: None,
        }
    }

    /// What is written next to the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The second place.
    pub(super) fn also(mut self, span: &Span, message: impl Into<String>) -> Self {
        self.related = Some(Box::new((span.clone(), message.into())));
        self
    }

    fn locate(self, file: &str, text: &str, lines: &Lines) -> Diagnostic {
        let (line, column) = lines.position(text, self.span.start);
        let related = self.related.map(|related| {
            let (span, message) = *related;
            let (line, column) = lines.position(text, span.start);
            Related {
                line,
                column,
                message,
                span,
            }
        });
        Diagnostic {
            file: file.to_owned(),
            line: Some(line),
            column: Some(column),
            message: self.message,
            label: self.label,
            help: self.help,
            related,
            span: Some(self.span),
        }
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    /// Lines with syntax errors, as spans, in their order. What is read from them is a guess.
    unreadable: Vec<Span>,
    text_is_lost: bool,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        let guess = self
            .unreadable
            .iter()
            .any(|line| line.contains(&fault.span.start));
        if !guess {
            self.list.push(fault);
        }
    }

    /// Adds a fault, unless the same one has been found in another way.
    pub(super) fn add_once(&mut self, fault: Fault) {
        let same = |other: &Fault| other.span == fault.span && other.message == fault.message;
        if !self.list.iter().rev().any(same) {
            self.add(fault);
        }
    }

    /// Adds a syntax error, unless its line has one: what follows the first on a line follows
    /// from it. To be called in the order of the text.
    pub(super) fn add_syntax(&mut self, text: &str, fault: Fault, rest_is_readable: bool) {
        self.text_is_lost |= !rest_is_readable;
        let at = fault.span.start.min(text.len());
        let bytes = text.as_bytes();
        let newline = |byte: &u8| *byte == b'\n';
        let start = bytes[..at]
            .iter()
            .rposition(newline)
            .map_or(0, |before| before + 1);
        let end = bytes[at..]
            .iter()
            .position(newline)
            .map_or(text.len(), |after| at + after);
        if self.unreadable.last().is_none_or(|line| line.start < start) {
            self.unreadable.push(start..end + 1);
            self.list.push(fault);
        }
    }

    /// Whether syntax errors hide part of the text, so that what is not found may yet be there.
    pub(super) fn text_is_lost(&self) -> bool {
        self.text_is_lost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.list
    }
}
