//! What egui has drawn, as SVG: shapes stay shapes, text stays text, textures become pixels that stay sharp.
//!
//! ```text
//!  ClippedShape ─▶ rectangle, line, path, circle, Bézier ─▶ the same element
//!               ─▶ text ─▶ a <text> for each run of one colour and typeface, as wide as it was laid out
//!               ─▶ mesh ─▶ polygons; with a texture an <image> of the part that it shows
//! ```
//! Everything that a guest can name passes through `escaped`. Nothing refers to anything outside of the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use egui::epaint::text::Galley;
use egui::epaint::{
    ClippedShape, ColorImage, ColorMode, ImageData, Mesh, PathShape, PathStroke, RectShape,
    StrokeKind, TextShape, Vertex,
};
use egui::{Color32, FontFamily, FontId, Pos2, Rect, Shape, Stroke, TextureId, pos2};
use resvg::tiny_skia::{IntSize, Pixmap};

/// The pictures that shapes refer to.
pub type Textures = BTreeMap<TextureId, Arc<ColorImage>>;

/// Most triangles of a mesh that are drawn one by one.
const MOST_TRIANGLES: usize = 200_000;

/// The drawing of `shapes`, of this size in egui's points, to be shown at `width` × `height`.
pub fn svg_from_shapes(
    shapes: Vec<ClippedShape>,
    textures: &Textures,
    size: egui::Vec2,
    [width, height]: [u32; 2],
    background: Color32,
    title: &str,
) -> String {
    let mut drawing = Drawing {
        text: String::new(),
        clips: Vec::new(),
        textures,
    };
    let page = Rect::from_min_size(Pos2::ZERO, size);
    for ClippedShape {
        clip_rect, shape, ..
    } in shapes
    {
        let clip = clip_rect.intersect(page);
        if !clip.is_positive() || matches!(shape, Shape::Noop) {
            continue;
        }
        let is_inside = clip.contains_rect(shape.visual_bounding_rect());
        if is_inside {
            drawing.shape(&shape);
        } else {
            let number = drawing.clip(clip);
            let _ = write!(drawing.text, r#"<g clip-path="url(#c{number})">"#);
            drawing.shape(&shape);
            drawing.text.push_str("</g>\n");
        }
    }
    let Drawing { text, clips, .. } = drawing;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {} {}" width="{width}" height="{height}" role="img" font-family="Inter,'Helvetica Neue',Arial,sans-serif">"#,
        number(size.x),
        number(size.y)
    );
    let _ = write!(svg, "\n<title>{}</title>\n<defs>", escaped(title));
    for (number, clip) in clips.iter().enumerate() {
        let _ = write!(
            svg,
            r#"<clipPath id="c{number}"><rect {}/></clipPath>"#,
            place(*clip)
        );
    }
    let _ = write!(
        svg,
        "</defs>\n<rect {} {}/>\n{text}</svg>\n",
        place(page),
        fill(background)
    );
    svg
}

struct Drawing<'a> {
    text: String,
    clips: Vec<Rect>,
    textures: &'a Textures,
}

impl Drawing<'_> {
    fn clip(&mut self, clip: Rect) -> usize {
        if let Some(known) = self.clips.iter().rposition(|known| *known == clip) {
            return known;
        }
        self.clips.push(clip);
        self.clips.len() - 1
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Noop | Shape::Callback(_) => {}
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| self.shape(shape)),
            Shape::Circle(circle) => self.element(&format!(
                r#"<circle cx="{}" cy="{}" r="{}" {} {}/>"#,
                number(circle.center.x),
                number(circle.center.y),
                number(circle.radius),
                fill(circle.fill),
                stroke(circle.stroke)
            )),
            Shape::Ellipse(ellipse) => self.element(&format!(
                r#"<ellipse cx="{}" cy="{}" rx="{}" ry="{}" {} {}/>"#,
                number(ellipse.center.x),
                number(ellipse.center.y),
                number(ellipse.radius.x),
                number(ellipse.radius.y),
                fill(ellipse.fill),
                stroke(ellipse.stroke)
            )),
            Shape::LineSegment { points, stroke: s } => self.element(&format!(
                r#"<path d="M{} L{}" fill="none" {}/>"#,
                point(points[0]),
                point(points[1]),
                stroke(*s)
            )),
            Shape::Path(path) => self.path(path),
            Shape::Rect(rect) => self.rect(rect),
            Shape::Text(text) => self.words(text),
            Shape::Mesh(mesh) => self.mesh(mesh),
            Shape::QuadraticBezier(curve) => {
                let [a, b, c] = curve.points;
                let d = format!("M{} Q{} {}", point(a), point(b), point(c));
                self.curve(&d, curve.closed, curve.fill, &curve.stroke);
            }
            Shape::CubicBezier(curve) => {
                let [a, b, c, d] = curve.points;
                let d = format!("M{} C{} {} {}", point(a), point(b), point(c), point(d));
                self.curve(&d, curve.closed, curve.fill, &curve.stroke);
            }
            Shape::Band(band) => {
                let upper = band.points.iter().map(|at| pos2(at.x, at.y.max));
                let lower = band.points.iter().rev();
                let lower = lower.map(|at| pos2(at.x, at.y.min));
                let outline: Vec<Pos2> = upper.chain(lower).collect();
                self.path(&PathShape {
                    points: outline,
                    closed: true,
                    fill: band.fill,
                    stroke: band.stroke.into(),
                });
            }
        }
    }

    fn element(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }

    fn curve(&mut self, d: &str, closed: bool, color: Color32, line: &PathStroke) {
        let end = if closed { " Z" } else { "" };
        self.element(&format!(
            r#"<path d="{d}{end}" {} {}/>"#,
            fill(color),
            path_stroke(line)
        ));
    }

    fn path(&mut self, path: &PathShape) {
        let points: Vec<String> = path.points.iter().map(|at| point(*at)).collect();
        if points.len() < 2 {
            return;
        }
        let d = format!("M{}", points.join(" L"));
        self.curve(&d, path.closed, path.fill, &path.stroke);
    }

    fn rect(&mut self, shape: &RectShape) {
        if let Some(brush) = &shape.brush {
            let mut mesh = Mesh::with_texture(brush.fill_texture_id);
            mesh.add_rect_with_uv(shape.rect, brush.uv, shape.fill);
            return self.mesh(&mesh);
        }
        if shape.blur_width > 0.0 {
            // Shadows are the window's, not the picture's.
            return;
        }
        let inset = match shape.stroke_kind {
            StrokeKind::Inside => shape.stroke.width / 2.0,
            StrokeKind::Middle => 0.0,
            StrokeKind::Outside => -shape.stroke.width / 2.0,
        };
        let radius = f32::from(shape.corner_radius.nw);
        let rect = match shape.stroke.is_empty() {
            true => shape.rect,
            false => shape.rect.shrink(inset),
        };
        if !rect.is_positive() {
            return;
        }
        let round = match radius > 0.0 {
            true => format!(
                r#" rx="{}""#,
                number(radius.min(rect.size().min_elem() / 2.0))
            ),
            false => String::new(),
        };
        self.element(&format!(
            r#"<rect {}{round} {} {}/>"#,
            place(rect),
            fill(shape.fill),
            stroke(shape.stroke)
        ));
    }

    /// Text: each run of one look.
    fn words(&mut self, shape: &TextShape) {
        let galley = &shape.galley;
        let turned = shape.angle.abs() > 0.001;
        if turned {
            let _ = write!(
                self.text,
                r#"<g transform="rotate({} {})">"#,
                number(shape.angle.to_degrees()),
                point(shape.pos).replace(',', " ")
            );
        }
        let mut bytes = 0;
        for row in &galley.rows {
            let origin = shape.pos + row.pos.to_vec2();
            let mut run: Option<Run> = None;
            for glyph in &row.glyphs {
                let (font, background) = look(galley, bytes);
                bytes += glyph.chr.len_utf8();
                let vertex = row.visuals.mesh.vertices.get(glyph.first_vertex as usize);
                let has_ink = !glyph.uv_rect.is_nothing();
                let color = match (shape.override_text_color, vertex) {
                    (Some(color), _) => Some(color),
                    (None, Some(vertex)) if has_ink => Some(match vertex.color {
                        Color32::PLACEHOLDER => shape.fallback_color,
                        color => color,
                    }),
                    _ => None,
                };
                let at = origin + glyph.pos.to_vec2();
                let goes_on = run.as_ref().is_some_and(|run| {
                    run.font == *font
                        && run.background == background
                        && (color.is_none() || run.color.is_none() || run.color == color)
                });
                if !goes_on {
                    self.run(run.take(), shape);
                    run = Some(Run {
                        at,
                        font: font.clone(),
                        background,
                        color: None,
                        text: String::new(),
                        width: 0.0,
                        top: origin.y,
                        height: row.size.y,
                    });
                }
                if let Some(run) = &mut run {
                    run.color = run.color.or(color);
                    run.text.push(glyph.chr);
                    run.width = at.x + glyph.advance_width - run.at.x;
                }
            }
            self.run(run, shape);
            if row.ends_with_newline {
                bytes += 1;
            }
        }
        if turned {
            self.text.push_str("</g>\n");
        }
    }

    fn run(&mut self, run: Option<Run>, shape: &TextShape) {
        let Some(run) = run else { return };
        if run.background != Color32::TRANSPARENT {
            let min = pos2(run.at.x, run.top);
            let rect = Rect::from_min_size(min, egui::vec2(run.width, run.height));
            self.element(&format!(
                r#"<rect {} {}/>"#,
                place(rect),
                fill(run.background)
            ));
        }
        let trimmed = run.text.trim_end();
        let Some(color) = run.color.filter(|_| !trimmed.is_empty()) else {
            return;
        };
        let color = color.gamma_multiply(shape.opacity_factor);
        let (family, weight) = match &run.font.family {
            FontFamily::Monospace => (MONO, ""),
            FontFamily::Name(name) if &**name == "strong-numbers" => {
                (MONO, r#" font-weight="700""#)
            }
            FontFamily::Name(_) => ("", r#" font-weight="600""#),
            FontFamily::Proportional => ("", ""),
        };
        // As wide as it was laid out, whatever typeface stands in for ours.
        let length = match trimmed.len() == run.text.len() && trimmed.chars().count() > 2 {
            true => format!(r#" textLength="{}""#, number(run.width)),
            false => String::new(),
        };
        self.element(&format!(
            r#"<text x="{}" y="{}" font-size="{}"{family}{weight}{length} xml:space="preserve" {}>{}</text>"#,
            number(run.at.x),
            number(run.at.y),
            number(run.font.size),
            fill(color),
            escaped(trimmed)
        ));
    }

    fn mesh(&mut self, mesh: &Mesh) {
        let corners = |triangle: &[u32]| -> Option<[Vertex; 3]> {
            let [a, b, c] = *<&[u32; 3]>::try_from(triangle).ok()?;
            let of = |index: u32| mesh.vertices.get(index as usize).copied();
            Some([of(a)?, of(b)?, of(c)?])
        };
        let texture = self.textures.get(&mesh.texture_id).cloned();
        let textured = texture.filter(|_| mesh.texture_id != TextureId::default());
        let mut triangles = mesh.indices.chunks_exact(3).take(MOST_TRIANGLES).peekable();
        while let Some(triangle) = triangles.next() {
            let Some(first) = corners(triangle) else {
                continue;
            };
            let second = triangles.peek().and_then(|next| corners(next));
            // Two triangles that make a rectangle, as egui lays them.
            let quad = second.and_then(|second| quad(&first, &second));
            if let Some((rect, uv)) = quad {
                triangles.next();
                match &textured {
                    Some(image) => self.image(rect, uv, image, first[0].color),
                    None => self.element(&format!(
                        r#"<rect {} {}/>"#,
                        place(rect),
                        fill(first[0].color)
                    )),
                }
                continue;
            }
            let color = match &textured {
                Some(image) => texel(image, first[0].uv),
                None => first[0].color,
            };
            self.element(&format!(
                r#"<polygon points="{} {} {}" {}/>"#,
                point(first[0].pos),
                point(first[1].pos),
                point(first[2].pos),
                fill(color)
            ));
        }
    }

    /// The part of a texture that is shown, as pixels; one that repeats, as a pattern.
    fn image(&mut self, rect: Rect, uv: Rect, image: &ColorImage, tint: Color32) {
        let [width, height] = image.size;
        if width == 0 || height == 0 || !rect.is_positive() {
            return;
        }
        let repeats = uv.width().abs() > 1.001 || uv.height().abs() > 1.001;
        let [left, right] = [uv.left(), uv.right()].map(|u| u * width as f32);
        let [top, bottom] = [uv.top(), uv.bottom()].map(|v| v * height as f32);
        if repeats {
            let tile = egui::vec2(
                rect.width() / (uv.width().abs()).max(0.001),
                rect.height() / (uv.height().abs()).max(0.001),
            );
            let Some(data) = pixels(image, [0, 0, width, height], tint) else {
                return;
            };
            let number_of = self.text.len();
            let start = rect.min - egui::vec2(uv.left() * tile.x, uv.top() * tile.y);
            self.element(&format!(
                r#"<pattern id="p{number_of}" patternUnits="userSpaceOnUse" x="{}" y="{}" width="{}" height="{}"><image width="{}" height="{}" preserveAspectRatio="none" style="image-rendering:pixelated" xlink:href="{data}"/></pattern><rect {} fill="url(#p{number_of})"/>"#,
                number(start.x),
                number(start.y),
                number(tile.x),
                number(tile.y),
                number(tile.x),
                number(tile.y),
                place(rect)
            ));
            return;
        }
        // Whole pixels of the texture, laid where they would have been.
        let from = [
            left.min(right).floor().max(0.0),
            top.min(bottom).floor().max(0.0),
        ];
        let to = [
            left.max(right).ceil().min(width as f32),
            top.max(bottom).ceil().min(height as f32),
        ];
        let part = [
            from[0] as usize,
            from[1] as usize,
            (to[0] - from[0]) as usize,
            (to[1] - from[1]) as usize,
        ];
        let Some(data) = pixels(image, part, tint) else {
            return;
        };
        let per_texel = egui::vec2(
            rect.width() / (right - left).abs().max(0.001),
            rect.height() / (bottom - top).abs().max(0.001),
        );
        let shown = Rect::from_min_size(
            rect.min
                - egui::vec2(
                    (left.min(right) - from[0]) * per_texel.x,
                    (top.min(bottom) - from[1]) * per_texel.y,
                ),
            egui::vec2(part[2] as f32 * per_texel.x, part[3] as f32 * per_texel.y),
        );
        self.element(&format!(
            r#"<image {} preserveAspectRatio="none" style="image-rendering:pixelated" xlink:href="{data}"/>"#,
            place(shown)
        ));
    }
}

const MONO: &str = r#" font-family="'JetBrains Mono',Menlo,Consolas,monospace""#;

/// A run of text of one look.
struct Run {
    at: Pos2,
    font: FontId,
    background: Color32,
    color: Option<Color32>,
    text: String,
    width: f32,
    top: f32,
    height: f32,
}

/// The typeface and background of the letter at this byte.
fn look(galley: &Galley, byte: usize) -> (&FontId, Color32) {
    static PLAIN: FontId = FontId {
        size: 13.0,
        family: FontFamily::Proportional,
    };
    let sections = &galley.job.sections;
    let found = sections
        .iter()
        .find(|section| {
            let range = &section.byte_range;
            (range.start.0..range.end.0).contains(&byte)
        })
        // What stands for the rest, as … does, looks like the end.
        .or(sections.last());
    match found {
        Some(section) => (&section.format.font_id, section.format.background),
        None => (&PLAIN, Color32::TRANSPARENT),
    }
}

/// The rectangle that two triangles make, and what part of the texture it shows.
fn quad(first: &[Vertex; 3], second: &[Vertex; 3]) -> Option<(Rect, Rect)> {
    let all = first.iter().chain(second);
    if all.clone().any(|vertex| vertex.color != first[0].color) {
        return None;
    }
    let rect = Rect::from_points(&all.clone().map(|vertex| vertex.pos).collect::<Vec<_>>());
    let near = |one: f32, other: f32| (one - other).abs() < 0.01;
    let is_corner = |at: Pos2| {
        (near(at.x, rect.left()) || near(at.x, rect.right()))
            && (near(at.y, rect.top()) || near(at.y, rect.bottom()))
    };
    if !all.clone().all(|vertex| is_corner(vertex.pos)) {
        return None;
    }
    let at = |x: f32, y: f32| {
        let mut corner = all
            .clone()
            .filter(|vertex| near(vertex.pos.x, x) && near(vertex.pos.y, y));
        corner.next().map(|vertex| vertex.uv)
    };
    let min = at(rect.left(), rect.top())?;
    let max = at(rect.right(), rect.bottom())?;
    // All four corners, or it is half of something else.
    at(rect.right(), rect.top())?;
    at(rect.left(), rect.bottom())?;
    Some((rect, Rect { min, max }))
}

fn texel(image: &ColorImage, uv: Pos2) -> Color32 {
    let [width, height] = image.size;
    let x = (uv.x * width as f32).clamp(0.0, width.saturating_sub(1) as f32) as usize;
    let y = (uv.y * height as f32).clamp(0.0, height.saturating_sub(1) as f32) as usize;
    image
        .pixels
        .get(y * width + x)
        .copied()
        .unwrap_or(Color32::TRANSPARENT)
}

/// A part of a picture as a `data:` address.
fn pixels(image: &ColorImage, [x, y, width, height]: [usize; 4], tint: Color32) -> Option<String> {
    let size = IntSize::from_wh(u32::try_from(width).ok()?, u32::try_from(height).ok()?)?;
    let mut bytes = Vec::with_capacity(width * height * 4);
    for line in y..y + height {
        let from = line * image.size[0] + x;
        for pixel in image.pixels.get(from..from + width)? {
            let tinted = match tint {
                Color32::WHITE => *pixel,
                tint => *pixel * tint,
            };
            bytes.extend_from_slice(&tinted.to_array());
        }
    }
    let png = Pixmap::from_vec(bytes, size)?.encode_png().ok()?;
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(png);
    Some(format!("data:image/png;base64,{data}"))
}

/// Remembers what `delta` says of textures.
pub fn remember_textures(textures: &mut Textures, delta: &egui::TexturesDelta) {
    for (id, deltas) in &delta.set {
        for delta in deltas {
            let ImageData::Color(patch) = &delta.image;
            match delta.pos {
                None => {
                    textures.insert(*id, Arc::clone(patch));
                }
                Some([x, y]) => {
                    if let Some(known) = textures.get_mut(id) {
                        patch_in(Arc::make_mut(known), patch, x, y);
                    }
                }
            }
        }
    }
}

fn patch_in(image: &mut ColorImage, patch: &ColorImage, x: usize, y: usize) {
    let [width, _] = image.size;
    for line in 0..patch.size[1] {
        let to = (y + line) * width + x;
        let from = line * patch.size[0];
        let pixels = patch.pixels.get(from..from + patch.size[0]);
        let place = image.pixels.get_mut(to..to + patch.size[0]);
        if let (Some(pixels), Some(place)) = (pixels, place) {
            place.copy_from_slice(pixels);
        }
    }
}

fn number(value: f32) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn point(at: Pos2) -> String {
    format!("{},{}", number(at.x), number(at.y))
}

fn place(rect: Rect) -> String {
    format!(
        r#"x="{}" y="{}" width="{}" height="{}""#,
        number(rect.left()),
        number(rect.top()),
        number(rect.width()),
        number(rect.height())
    )
}

fn paint(name: &str, color: Color32) -> String {
    let [red, green, blue, alpha] = color.to_srgba_unmultiplied();
    match alpha {
        0 => format!(r#"{name}="none""#),
        255 => format!(r##"{name}="#{red:02x}{green:02x}{blue:02x}""##),
        _ => format!(
            r##"{name}="#{red:02x}{green:02x}{blue:02x}" {name}-opacity="{}""##,
            number(f32::from(alpha) / 255.0)
        ),
    }
}

fn fill(color: Color32) -> String {
    paint("fill", color)
}

fn stroke(stroke: Stroke) -> String {
    if stroke.is_empty() {
        return String::new();
    }
    let width = number(stroke.width);
    format!(
        r#"{} stroke-width="{width}""#,
        paint("stroke", stroke.color)
    )
}

fn path_stroke(path: &PathStroke) -> String {
    let color = match &path.color {
        ColorMode::Solid(color) => *color,
        ColorMode::UV(_) => Color32::GRAY,
    };
    stroke(Stroke::new(path.width, color))
}

/// Text as it stands in XML; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                safe.push(' ');
            }
            letter => safe.push(letter),
        }
    }
    safe
}
