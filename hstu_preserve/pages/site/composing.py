"""Compose the files of a site: the index, a page for each published result, and one for whatever else was judged."""

from collections.abc import Sequence

from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.rendering import render, render_index
from hstu_preserve.pages.site.collecting import list_others, list_published
from hstu_preserve.pages.site.entry_page import compose_entry, compose_other
from hstu_preserve.pages.site.hiding import hide_places
from hstu_preserve.pages.site.index_page import compose_index, name_other, name_page
from hstu_preserve.pages.site.published import Published
from hstu_preserve.primitives.voice import Voice


def compose_site(judged: Sequence[Judged], *, voice: Voice) -> dict[str, bytes]:
    """Return every file of the site by its place; equal catalogs and records give equal bytes."""
    published = list_published(judged, voice=voice)
    return render_site(published, [hide_places(one) for one in list_others(judged, published)])


def render_site(published: Sequence[Published], others: Sequence[Judged]) -> dict[str, bytes]:
    """Return every file of a site of these results."""
    return {
        "index.html": render_index(compose_index(published, others)),
        **{name_page(one): render(compose_entry(one)) for one in published},
        **{name_other(number): render(compose_other(one)) for number, one in enumerate(others, start=1)},
    }
