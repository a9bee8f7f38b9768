"""The made-up catalogue of the embedded world: what its items are and how their texts read.

The law of `genrec.data.world` reads an item's category, brand, style and price tier; it does not read the sub-category,
material, colour and size. Every one of them stands in the item's texts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

# category: sub-categories; materials; sizes; the price of a plain piece of each sub-category
CATEGORIES = {
    "Home Office": ("standing desk|desk chair|bookcase|monitor stand", "walnut|oak|birch", "120 cm|140 cm|160 cm", 180),
    "Kitchen": ("frying pan|stock pot|chef knife|mixing bowl", "cast iron|copper|steel", "20 cm|24 cm|28 cm", 40),
    "Bedroom": ("duvet cover|bed frame|pillow|blanket", "cotton|linen|wool", "single|double|king size", 70),
    "Bathroom": ("bath towel|shower curtain|soap dish|bath mat", "bamboo|terry|ceramic", "small|medium|large", 20),
    "Lighting": ("floor lamp|table lamp|pendant light|wall sconce", "brass|glass|paper", "5 W|9 W|14 W", 60),
    "Audio": ("headphones|bookshelf speaker|turntable|radio", "maple|aluminium|felt", "20 W|40 W|80 W", 120),
    "Stationery": ("notebook|fountain pen|desk pad|pencil case", "kraft|vellum|ebonite", "A4|A5|A6", 15),
    "Toys": ("building blocks|puzzle|toy train|plush bear", "beech|plush|cardboard", "age 2+|age 4+|age 6+", 25),
    "Garden": ("watering can|planter|garden bench|bird bath", "teak|zinc|terracotta", "5 l|10 l|20 l", 50),
    "Camping": ("tent|sleeping bag|camp stove|headlamp", "ripstop|canvas|titanium", "1 person|2 person|4 person", 90),
    "Cycling": ("road helmet|pannier|bike light|saddle", "carbon|leather|nylon", "size S|size M|size L", 60),
    "Running": ("trail shoe|rain jacket|running vest|sock pack", "mesh|merino|fleece", "size 38|size 41|size 44", 50),
    "Photography": ("tripod|camera strap|lens pouch|photo frame", "magnesium|suede|cork", "30 cm|50 cm|150 cm", 60),
    "Pets": ("dog bed|cat tree|feeding bowl|dog lead", "sisal|rope|stoneware", "5 kg|15 kg|30 kg", 30),
    "Travel": ("suitcase|backpack|toiletry bag|neck pillow", "polycarbonate|denim|canvas", "8 l|25 l|40 l", 80),
    "Tools": ("cordless drill|hand plane|tool chest|spirit level", "chrome|ash|forged iron", "12 V|18 V|36 V", 70),
}
# which side each category is on: the first half is for the home, 0, the second for away from it, 1
SIDES = np.repeat([0, 1], len(CATEGORIES) // 2)
BRANDS = [
    "Alder & Finch",
    "Birk Nord",
    "Calder Works",
    "Dunmore",
    "Ember & Rye",
    "Fjordhaus",
    "Galloway",
    "Hartwell",
    "Ivo Lind",
    "Juniper Lane",
    "Kestrel",
    "Lumen & Co",
    "Marlowe",
    "Northbeam",
    "Oriel",
    "Pike & Vale",
    "Quarry House",
    "Rowan Street",
    "Saltmarsh",
    "Tamsin Grey",
    "Umberto Vas",
    "Verdane",
    "Wexford",
    "Yarrow",
]
STYLES = ("nordic", "industrial", "rustic", "minimalist", "retro", "coastal", "japandi", "botanical")
TIERS = ("essential", "classic", "premium", "signature")
COLOURS = ("black", "white", "sand", "forest green", "navy", "rust")


class Content(NamedTuple):
    """What each item is: indexes into the names above, one row an item."""

    category: Int[ndarray, " items"]
    sub_category: Int[ndarray, " items"]
    brand: Int[ndarray, " items"]
    style: Int[ndarray, " items"]
    tier: Int[ndarray, " items"]
    material: Int[ndarray, " items"]
    size: Int[ndarray, " items"]
    colour: Int[ndarray, " items"]


def draw_content(num_items: int, num_brands: int, rng: np.random.Generator) -> Content:
    """Items spread evenly over categories, sub-categories, brands, styles and tiers, in a seeded order."""

    def evenly(num_values: int) -> Int[ndarray, " items"]:
        return rng.permutation(np.arange(num_items) % num_values)

    pairs = evenly(len(CATEGORIES) * 4)
    brand = evenly(num_brands)
    return Content(
        pairs // 4,
        pairs % 4,
        brand,
        evenly(len(STYLES)),
        evenly(len(TIERS)),
        evenly(3),
        evenly(3),
        evenly(len(COLOURS)),
    )


def item_fields(content: Content) -> dict[str, list[str]]:
    """The items' texts: field name -> one text an item. Titles are unique."""
    rows = [_texts(content, item) for item in range(len(content.category))]
    fields = {name: [row[name] for row in rows] for name in rows[0]}
    fields["title"] = _unique(fields["title"])
    return fields


def _texts(content: Content, item: int) -> dict[str, str]:
    category = list(CATEGORIES)[content.category[item]]
    nouns, materials, sizes, plain_price = CATEGORIES[category]
    noun = nouns.split("|")[content.sub_category[item]]
    material, size = materials.split("|")[content.material[item]], sizes.split("|")[content.size[item]]
    brand, style = BRANDS[content.brand[item]], STYLES[content.style[item]]
    tier, colour = TIERS[content.tier[item]], COLOURS[content.colour[item]]
    # within a category the sub-categories' prices rise by a quarter each, the tiers' by 60 per cent
    price = 10 * round(plain_price * (1 + content.sub_category[item] / 4) * 1.6 ** content.tier[item] / 10) + 9
    return {
        "title": f"{brand} {style.title()} {noun.title()}, {tier} line, {material}, {size}",
        "brand": brand,
        "categories": f"{category} > {noun.title()}",
        "price": f"{price:.2f}",
        "description": f"{style.capitalize()} design by {brand}, {tier} line. Colour: {colour}.",
        "style": style,
        "tier": tier,
        "material": material,
        "colour": colour,
        "size": size,
    }


def _unique(titles: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for title in titles:
        seen[title] = seen.get(title, 0) + 1
        unique.append(title if seen[title] == 1 else f"{title}, No. {seen[title]}")
    return unique
