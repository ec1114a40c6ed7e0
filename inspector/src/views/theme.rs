//! The one place for colours, fonts and their sizes.
//!
//! Few colours, each with one meaning everywhere; letters stand beside them wherever a colour says
//! what something is. Selection is white on dark and ink on light, new is yellow, and there is one
//! accent for the one action that matters.

use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, TextStyle, Theme, Ui, Visuals, vec2,
};
use pagescope_protocol::Level;

use crate::model::BandKind;

/// The colours of one theme.
#[derive(Clone, Debug)]
pub struct Palette {
    /// Whether this is the dark theme.
    pub is_dark: bool,
    /// Behind everything.
    pub background: Color32,
    /// Bars and cards.
    pub panel: Color32,
    /// Buttons, chips and fields on a panel.
    pub raised: Color32,
    /// Thin lines between surfaces.
    pub edge: Color32,
    /// Words that matter.
    pub text: Color32,
    /// Words that explain.
    pub dim: Color32,
    /// Tables by level, L0 first.
    pub levels: [Color32; 5],
    /// Code.
    pub code: Color32,
    /// Read-only data.
    pub read_only: Color32,
    /// Writable data and heap.
    pub data: Color32,
    /// Device registers.
    pub device: Color32,
    /// Stacks.
    pub stack: Color32,
    /// Writable and executable, guards, reserved entries, a lost link.
    pub danger: Color32,
    /// New since the moment before.
    pub fresh: Color32,
    /// The heap counter.
    pub counter: Color32,
    /// The machine-mode program.
    pub machine: Color32,
    /// A cell with nothing in it.
    pub empty: Color32,
    /// RAM of which nothing is known.
    pub unknown: Color32,
    /// The selection: white on dark, ink on light.
    pub selection: Color32,
    /// Text on an accent or level colour.
    pub on_accent: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// For desks.
pub static DARK: Palette = Palette {
    is_dark: true,
    background: rgb(0x0e1318),
    panel: rgb(0x141b22),
    raised: rgb(0x1c2630),
    edge: rgb(0x26323e),
    text: rgb(0xdbe4ec),
    dim: rgb(0x7b8a99),
    levels: [
        rgb(0x5fd1c9),
        rgb(0x7aa2f7),
        rgb(0xc792ea),
        rgb(0xe07fc0),
        rgb(0xe6b8e0),
    ],
    code: rgb(0xf2b35d),
    read_only: rgb(0xa9c7e8),
    data: rgb(0x8fce7a),
    device: rgb(0xd58fb0),
    stack: rgb(0x6fb7a0),
    danger: rgb(0xff6b5e),
    fresh: rgb(0xfff27a),
    counter: rgb(0xffd166),
    machine: rgb(0x8d98a8),
    empty: rgb(0x1c2630),
    unknown: rgb(0x2b3a47),
    selection: rgb(0xffffff),
    on_accent: rgb(0x0e1318),
};

/// For projectors.
pub static LIGHT: Palette = Palette {
    is_dark: false,
    background: rgb(0xfbfaf7),
    panel: rgb(0xffffff),
    raised: rgb(0xefeee8),
    edge: rgb(0xd9d6cd),
    text: rgb(0x1c232b),
    dim: rgb(0x6c7681),
    levels: [
        rgb(0x138a80),
        rgb(0x3465d0),
        rgb(0x8d4fc4),
        rgb(0xb03a8a),
        rgb(0x7a3b70),
    ],
    code: rgb(0xd0861b),
    read_only: rgb(0x5c8fc9),
    data: rgb(0x4f9c36),
    device: rgb(0xb5557f),
    stack: rgb(0x2f8f6f),
    danger: rgb(0xd6362a),
    fresh: rgb(0xffd400),
    counter: rgb(0xc99700),
    machine: rgb(0x7d8794),
    empty: rgb(0xe9e7e0),
    unknown: rgb(0xcfcfc9),
    selection: rgb(0x10151a),
    on_accent: rgb(0xffffff),
};

impl Palette {
    /// The palette that `ui` is drawn with.
    pub fn of(ui: &Ui) -> &'static Self {
        Self::for_theme(ui.visuals().dark_mode)
    }

    /// The palette of the dark or the light theme.
    pub fn for_theme(is_dark: bool) -> &'static Self {
        if is_dark { &DARK } else { &LIGHT }
    }

    /// The colour of tables at `level`.
    pub const fn level(&self, level: Level) -> Color32 {
        self.levels[level as usize]
    }

    /// The one action that matters, and what is switched on.
    pub const fn accent(&self) -> Color32 {
        self.levels[0]
    }

    /// The colour of a band or a frame.
    pub fn band(&self, kind: BandKind) -> Color32 {
        match kind {
            BandKind::Code => self.code,
            BandKind::ReadOnly => self.read_only,
            BandKind::Data | BandKind::Heap => self.data,
            BandKind::WriteExecute | BandKind::Guard => self.danger,
            BandKind::Device => self.device,
            BandKind::Stack => self.stack,
            BandKind::Table(level) => self.level(level),
            BandKind::HeapCounter => self.counter,
            BandKind::Machine => self.machine,
            BandKind::Free
            | BandKind::Reserved
            | BandKind::Nothing
            | BandKind::NonCanonical
            | BandKind::Unread => self.empty,
            BandKind::Ram => self.unknown,
        }
    }

    /// Large areas are a little quieter than small cells of the same colour.
    pub fn band_fill(&self, kind: BandKind) -> Color32 {
        match kind {
            BandKind::Free | BandKind::Ram => self.band(kind),
            _ => mix(self.band(kind), self.background, 0.16),
        }
    }

    /// Ink that can be read on `fill`.
    pub fn ink_on(&self, fill: Color32) -> Color32 {
        if luma(fill) > 135.0 {
            DARK.background
        } else {
            Color32::WHITE
        }
    }
}

/// How bright `color` is, from 0 to 255.
pub fn luma(color: Color32) -> f32 {
    let [r, g, b, _] = color.to_array();
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

/// `color` with `amount` (0 to 1) of `other` mixed in.
pub fn mix(color: Color32, other: Color32, amount: f32) -> Color32 {
    color.lerp_to_gamma(other, amount)
}

/// The font for headings and for what is selected.
pub fn strong(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("strong".into()))
}

/// The font for words.
pub fn words(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// The font for numbers.
pub fn numbers(size: f32) -> FontId {
    FontId::new(size, FontFamily::Monospace)
}

/// The font for numbers that matter.
pub fn strong_numbers(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("strong-numbers".into()))
}

/// The size of most words.
pub const BODY: f32 = 13.0;
/// The size of most numbers.
pub const NUMBERS: f32 = 12.0;
/// The size of what explains.
pub const SMALL: f32 = 11.5;

/// Gives `ctx` our fonts and both themes. Once, before the first frame.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    for (theme, palette) in [(Theme::Dark, &DARK), (Theme::Light, &LIGHT)] {
        ctx.set_visuals_of(theme, visuals(palette));
    }
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Heading, strong(15.0)),
            (TextStyle::Body, words(BODY)),
            (TextStyle::Button, words(BODY)),
            (TextStyle::Monospace, numbers(NUMBERS)),
            (TextStyle::Small, words(SMALL)),
        ]
        .into();
        style.spacing.item_spacing = vec2(8.0, 6.0);
        style.spacing.button_padding = vec2(9.0, 4.0);
        style.spacing.interact_size.y = 25.0;
        style.spacing.window_margin = Margin::same(14);
        style.spacing.tooltip_width = 420.0;
        style.spacing.scroll.floating = true;
        style.interaction.tooltip_delay = 0.25;
        // Nothing moves by itself: a still window costs nothing.
        style.animation_time = 0.0;
        style.visuals.text_cursor.blink = false;
    });
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let files: [(&str, &'static [u8]); 4] = [
        (
            "Inter",
            include_bytes!("../../../assets/fonts/Inter-Regular.otf"),
        ),
        (
            "Inter SemiBold",
            include_bytes!("../../../assets/fonts/Inter-SemiBold.otf"),
        ),
        (
            "JetBrains Mono",
            include_bytes!("../../../assets/fonts/JetBrainsMono-Regular.ttf"),
        ),
        (
            "JetBrains Mono Bold",
            include_bytes!("../../../assets/fonts/JetBrainsMono-Bold.ttf"),
        ),
    ];
    for (name, bytes) in files {
        let data = Arc::new(FontData::from_static(bytes));
        fonts.font_data.insert(name.into(), data);
    }
    // egui's own fonts stay behind ours for the few signs that ours lack.
    for (family, first) in [
        (FontFamily::Proportional, "Inter"),
        (FontFamily::Name("strong".into()), "Inter SemiBold"),
        (FontFamily::Monospace, "JetBrains Mono"),
        (
            FontFamily::Name("strong-numbers".into()),
            "JetBrains Mono Bold",
        ),
    ] {
        let mut names = vec![first.to_owned()];
        names.extend(["JetBrains Mono".to_owned(), "Inter".to_owned()]);
        names.extend(
            FontDefinitions::default()
                .families
                .remove(&FontFamily::Proportional)
                .unwrap_or_default(),
        );
        names.dedup();
        fonts.families.insert(family, names);
    }
    fonts
}

fn visuals(palette: &Palette) -> Visuals {
    let mut visuals = if palette.is_dark {
        Visuals::dark()
    } else {
        Visuals::light()
    };
    visuals.panel_fill = palette.background;
    visuals.window_fill = palette.panel;
    visuals.window_stroke = Stroke::new(1.0, palette.edge);
    visuals.window_corner_radius = CornerRadius::same(8);
    visuals.menu_corner_radius = CornerRadius::same(6);
    visuals.extreme_bg_color = palette.raised;
    visuals.text_edit_bg_color = Some(palette.raised);
    visuals.faint_bg_color = palette.raised;
    visuals.code_bg_color = palette.raised;
    visuals.hyperlink_color = palette.level(Level::L1);
    visuals.warn_fg_color = palette.counter;
    visuals.error_fg_color = palette.danger;
    visuals.weak_text_color = Some(palette.dim);
    visuals.selection.bg_fill = mix(palette.accent(), palette.panel, 0.65);
    visuals.selection.stroke = Stroke::new(1.0, palette.text);
    visuals.disabled_alpha = 0.6;
    let shadow = Shadow {
        offset: [0, 4],
        blur: 14,
        spread: 0,
        color: Color32::from_black_alpha(if palette.is_dark { 110 } else { 40 }),
    };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = shadow;
    let widgets = &mut visuals.widgets;
    let radius = CornerRadius::same(5);
    for (state, fill, stroke) in [
        (&mut widgets.noninteractive, palette.panel, palette.edge),
        (&mut widgets.inactive, palette.raised, palette.edge),
        (
            &mut widgets.hovered,
            mix(palette.raised, palette.text, 0.08),
            palette.dim,
        ),
        (
            &mut widgets.active,
            mix(palette.raised, palette.text, 0.16),
            palette.text,
        ),
        (
            &mut widgets.open,
            mix(palette.raised, palette.text, 0.08),
            palette.dim,
        ),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::new(1.0, stroke);
        state.fg_stroke = Stroke::new(1.0, palette.text);
        state.corner_radius = radius;
        state.expansion = 0.0;
    }
    visuals
}

/// The margins of a card.
pub const CARD_MARGIN: Margin = Margin {
    left: 12,
    right: 12,
    top: 9,
    bottom: 9,
};
