"""The parts a page is built from; every string that comes in is escaped."""

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

from pellucid.checks import check_range


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str,
    *,
    numbers: Iterable[int] = (),
    whole: Iterable[int] = (),
) -> Markup:
    """A table; the first cell of a row is its heading.

    Args:
        head: column names.
        rows: cells, escaped unless they are Markup.
        caption: what the table shows.
        numbers: columns set flush right.
        whole: columns whose words are never broken.
    """
    right, unbroken = set(numbers), set(whole)

    def css(column: int) -> Markup:
        if column in right:
            return Markup(' class="n"')
        return Markup(' class="whole"') if column in unbroken else Markup("")

    heads = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(css(column), name) for column, name in enumerate(head)
    )
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<th scope="row"{}>{}</th>' if column == 0 else "<td{}>{}</td>").format(css(column), cell)
                for column, cell in enumerate(row)
            )
        )
        for row in rows
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><caption>{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(caption, caption, heads, body)


def grid(names: Sequence[str], matrix: Sequence[Sequence[int]], caption: str) -> Markup:
    """A confusion matrix as a table: rows are true, columns predicted; darker is a larger share of the row."""
    head = Markup("").join(Markup('<th scope="col"><span>{}</span></th>').format(name) for name in names)
    rows = []
    for true, (name, counts) in enumerate(zip(names, matrix, strict=True)):
        total = max(1, sum(counts))
        cells = Markup("").join(
            Markup('<td class="{}" style="--share:{:.3f}">{}</td>').format(
                "hit" if true == taken else "miss", count / total, count or Markup('<span class="zero">0</span>')
            )
            for taken, count in enumerate(counts)
        )
        rows.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(name, cells))
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table class="grid"><caption>{}</caption>'
        '<thead><tr><th scope="col" class="corner">true ↓ predicted →</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(caption, caption, head, Markup("").join(rows))


def cards(facts: Sequence[tuple[str, str, str]]) -> Markup:
    """Facts in large type: (what, how much, small print)."""
    inside = Markup("").join(
        Markup(
            '<div class="card"><dt>{}</dt><dd><strong aria-label="{}">{}</strong><small>{}</small></dd></div>'
        ).format(what, f"{what}: {value}", value, small)
        for what, value, small in facts
    )
    return Markup('<dl class="cards">{}</dl>').format(inside)


def gallery(entries: Sequence[tuple[str, str, Sequence[Sequence[tuple[str, str]]]]], *, columns: int = 1) -> Markup:
    """Pictures with what is known about them.

    Args:
        entries: (heading, text, rows of (picture's data URI, its caption)); the first picture of the first row is the
            image itself, and later rows start one column further, so that like stands under like. Many columns make
            every entry as wide as the page.
        columns: places a row has at least, so that a single picture does not fill it.
    """
    inside = []
    is_wide = False
    for heading, text, rows in entries:
        places = max(columns, *(len(row) + bool(number) for number, row in enumerate(rows)))
        is_wide = is_wide or places > 4
        figures = [
            Markup('<figure{}><img src="{}" alt="{}" loading="lazy"><figcaption>{}</figcaption></figure>').format(
                Markup(' class="second"') if number and not place else Markup(""),
                checked_uri(uri),
                f"{caption}, of {text}",
                caption,
            )
            for number, row in enumerate(rows)
            for place, (uri, caption) in enumerate(row)
        ]
        strip = Markup('<div class="strip" style="--columns: {}">{}</div>').format(places, Markup("").join(figures))
        inside.append(Markup("<li><h4>{}</h4><p>{}</p>{}</li>").format(heading, text, strip))
    css = "gallery wide" if is_wide else "gallery"
    return Markup('<ul class="{}">{}</ul>').format(css, Markup("").join(inside))


def thumbnails(entries: Sequence[tuple[str, str]]) -> Markup:
    """Small pictures (data URI, caption), as many side by side as there is room for."""
    inside = Markup("").join(
        Markup('<li><figure><img src="{}" alt="{}" loading="lazy"><figcaption>{}</figcaption></figure></li>').format(
            checked_uri(uri), caption, caption
        )
        for uri, caption in entries
    )
    return Markup('<ul class="thumbnails">{}</ul>').format(inside)


def definitions(terms: Mapping[str, str]) -> Markup:
    """Words and what they mean."""
    return Markup('<dl class="terms">{}</dl>').format(
        Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(word, meaning) for word, meaning in terms.items())
    )


def legend(entries: Sequence[tuple[tuple[float, float, float], str]]) -> Markup:
    """Colours (red, green, blue in [0, 1]) and what they stand for."""
    inside = Markup("").join(
        Markup('<li><span style="background: rgb({}, {}, {})"></span>{}</li>').format(
            *(round(255 * part) for part in colour), text
        )
        for colour, text in entries
    )
    return Markup('<ul class="legend">{}</ul>').format(inside)


def details(summary: str, body: Markup, *, is_open: bool = False) -> Markup:
    """A part that is folded away; needs no script."""
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        Markup(" open") if is_open else Markup(""), summary, body
    )


def notice(text: str) -> Markup:
    """A sentence that must not be missed."""
    return Markup('<p class="notice" role="note">{}</p>').format(text)


def plain_list(lines: Sequence[str], *, most: int = 200) -> Markup:
    """Lines, the first `most` of them."""
    check_range("most", most, 1)
    shown = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines[:most])
    rest = Markup("<li>… and {} more</li>").format(len(lines) - most) if len(lines) > most else Markup("")
    return Markup("<ul>{}{}</ul>").format(shown, rest)


def drawings(entries: Sequence[tuple[Markup, str]]) -> Markup:
    """Drawn figures (SVG, what is to be seen in it), side by side where there is room."""
    inside = Markup("").join(
        Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(drawn, caption) for drawn, caption in entries
    )
    return Markup('<div class="drawings">{}</div>').format(inside)


def worked_steps(texts: Sequence[str]) -> Markup:
    """Worked steps in order: the first line of each says it, the lines below it are set as they stand."""
    inside = []
    for text in texts:
        said, _, worked = text.partition("\n")
        below = Markup('<pre tabindex="0">{}</pre>').format(worked) if worked else Markup("")
        inside.append(Markup("<li><strong>{}</strong>{}</li>").format(said, below))
    return Markup('<ol class="steps">{}</ol>').format(Markup("").join(inside))


def checked_uri(uri: str) -> Markup:
    """Only pictures that lie in the page itself."""
    if not uri.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")):
        raise ValueError("a picture in a page must be a data URI")
    return escape(uri)
