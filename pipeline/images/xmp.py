"""The description of a picture in an XMP packet: read, added and replaced; all else stays.

A packet (ISO 16684-1) is RDF in XML. Two of its properties say what a picture shows, and both are
written:

    dc:description                       what most programs show as the description or caption
    Iptc4xmpCore:AltTextAccessibility    alt text, of the IPTC Photo Metadata Standard since 2021.1

Both are alternatives by language, of which `x-default` is what we write. A packet is not parsed and
written anew: ours is spliced into its bytes, so that nothing else of it can get lost.
"""

import re
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
PROPERTIES = {(DC, "description"): "dc", (IPTC, "AltTextAccessibility"): "Iptc4xmpCore"}
EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    b" </rdf:RDF>\n"
    b"</x:xmpmeta>\n"
    b'<?xpacket end="w"?>'
)
# What XML 1.0 cannot hold, in any spelling.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_END = b"<?xpacket end="
# Depths, of the document's element 1, at which these stand; without x:xmpmeta they are one less.
_PARENT = ((RDF, "RDF"), (RDF, "Description"))
Name = tuple[str, str]  # namespace, local name


class PacketError(ValueError):
    """Bytes that are no XMP packet, or hold their description in a way that is not understood."""


class _Found(NamedTuple):
    """What matters of a packet; places are in bytes."""

    texts: list[str]  # of the properties, as they stand, without empty ones
    pieces: list[tuple[int, int]]  # where the properties stand, rising
    about: str  # the resource that all of the packet is about, mostly ""
    end: int  # where rdf:RDF ends: its end tag, or the end of its one tag
    closed: bool  # it is one tag, <rdf:RDF/>


def texts(packet: bytes) -> list[str]:
    """List what the properties say, without empty ones and white space around them.

    Raises:
        PacketError: these bytes are no XMP packet in UTF-8.
    """
    return _scan(packet).texts


def described(packet: bytes | None, text: str) -> bytes:
    """Make a packet that describes the picture with `text` and else says what it said.

    Args:
        packet: that the picture has, or None.
        text: of any characters that XML can hold.

    Raises:
        PacketError: the packet is none, or the text has characters that XML cannot hold.
    """
    if FORBIDDEN.search(text):
        raise PacketError(f"expected a description that XML can hold. Received: {text!r}")
    old = (EMPTY if packet is None else packet).rstrip(b"\0")
    found = _scan(old)
    parts, at = [], 0
    for start, end in found.pieces:
        parts.append(old[at:start])
        at = end
    ours = _ours(text, found.about)
    if found.closed:
        tag = old[old.rindex(b"<", 0, found.end) : found.end]
        name = re.split(rb"[\s/>]", tag[1:], maxsplit=1)[0]
        ours = b">" + ours + b"</" + name + b">"
        parts += [old[at : found.end - len(b"/>")], ours, old[found.end :]]
    else:
        parts += [old[at : found.end], ours, old[found.end :]]
    new = b"".join(parts)
    wanted = [text.strip()] * len(PROPERTIES) if text.strip() else []
    if texts(new) != wanted:  # better nothing than a packet that says something else
        raise PacketError("expected an XMP packet as programs write it. Received: an unusual one")
    return new


def without_padding(packet: bytes) -> bytes:
    """Leave out the white space that writers leave at the end for changes in place."""
    whole = packet.rstrip()
    at = whole.rfind(_END)
    if at >= 0 and whole.find(b">", at) == len(whole) - 1 and whole[:at] != whole[:at].rstrip():
        return whole[:at].rstrip() + b"\n" + whole[at:]
    return whole + b"\n" if whole != packet else packet


def _ours(text: str, about: str) -> bytes:
    """A resource of its own with both properties; RDF takes those about the same as one."""
    # A line feed stays as it is; a carriage return would become one when it is read.
    words = escape(text, {"\r": "&#13;"})
    spaces = "".join(f' xmlns:{prefix}="{space}"' for (space, _), prefix in PROPERTIES.items())
    lines = [f'<rdf:Description rdf:about={quoteattr(about)} xmlns:rdf="{RDF}"{spaces}>']
    lines += [
        f'<{prefix}:{name}><rdf:Alt><rdf:li xml:lang="x-default">{words}</rdf:li></rdf:Alt>'
        f"</{prefix}:{name}>"
        for (_, name), prefix in PROPERTIES.items()
    ]
    return "\n".join([*lines, "</rdf:Description>\n"]).encode()


def _scan(packet: bytes) -> _Found:
    """Find what matters of a packet."""
    scan = _Scan(packet.rstrip(b"\0"))
    if scan.end < 0:
        raise PacketError("expected an XMP packet. Received: XML without rdf:RDF")
    return _Found(
        [text for text in scan.texts if text], scan.pieces, scan.about, scan.end, scan.closed
    )


class _Scan:
    """Walks over a packet once; keeps the places in bytes, which no tree of it would know."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.path: list[Name] = []  # from the document's element to where we are
        self.last_start = -1  # of the tag that came last, if nothing came after it
        self.begun = -1  # of the property that we are in
        self.text: list[str] = []  # of the property, in the first of its languages
        self.told = False  # that language is over
        self.resource = -1  # where the resource begins that we are in
        self.first = 0  # of its pieces
        self.others = 0  # what it says beside the properties
        self.texts: list[str] = []
        self.pieces: list[tuple[int, int]] = []
        self.about = ""
        self.end, self.closed = -1, False
        self.parser = expat.ParserCreate("UTF-8", " ")
        self.parser.namespace_prefixes = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype
        try:
            self.parser.Parse(packet, True)
        except expat.ExpatError as error:
            raise PacketError(f"expected an XMP packet in UTF-8. Received: {error}") from error

    def _doctype(self, *_: object) -> None:
        """No packet declares anything; entities could make a small one endless."""
        raise PacketError("expected an XMP packet. Received: XML with a document type")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name, at = _name(tag), self.parser.CurrentByteIndex
        self.last_start = at
        if self._in_resource() and name in PROPERTIES:
            self.begun, self.text, self.told = at, [], False
        elif self._in_resource():
            self.others += 1
        self.path.append(name)
        if self._in_resource():
            self.resource, self.others, self.first = at, 0, len(self.pieces)
            self._attributes(at, attributes)

    def _attributes(self, at: int, attributes: dict[str, str]) -> None:
        """Some writers have simple properties as attributes of their resource."""
        for tag, value in attributes.items():
            name = _name(tag)
            if name in ((RDF, "about"), ("", "about")):
                self.about = self.about or value
            elif name not in PROPERTIES:
                self.others += 1
            else:
                self.texts.append(value.strip())
                spelt = ":".join(reversed(tag.split(" ")[1:])).encode()
                self.pieces.append(self._attribute(at, spelt))

    def _attribute(self, at: int, spelt: bytes) -> tuple[int, int]:
        """Find an attribute, with the white space before it, in the tag that begins at `at`."""
        place = at + len(re.match(rb"<[^\s/>]+", self.packet[at:])[0])  # type: ignore[index]
        while found := _ATTRIBUTE.match(self.packet, place):
            if found[1] == spelt:
                return found.span()
            place = found.end()
        raise PacketError("expected an XMP packet as programs write it. Received: an unusual one")

    def _end(self, tag: str) -> None:
        at, name = self.parser.CurrentByteIndex, self.path[-1]
        # After <tag/>, the parser stands behind it; after <tag></tag>, before the end tag.
        single = self.last_start >= 0 and self.packet[at - 2 : at] == b"/>"
        self.last_start = -1
        end = at if single else self.packet.index(b">", at) + 1
        if self._in_resource() and not self.others and len(self.pieces) > self.first:
            # It says nothing else, as ours: it goes whole, or each change would leave an empty one.
            end += self.packet[end : end + 1] == b"\n"
            self.pieces[self.first :] = [(self.resource, end)]
        self.path.pop()
        if name == _PARENT[0] and self.end < 0:
            self.end, self.closed = at, single
        self.told = self.told or (name == (RDF, "li") and bool("".join(self.text).strip()))
        if self._in_resource() and name in PROPERTIES:
            self.pieces.append((self.begun, end))
            self.texts.append("".join(self.text).strip())
            self.begun = -1

    def _characters(self, text: str) -> None:
        self.last_start = -1
        if self.begun >= 0 and not self.told:
            self.text.append(text)

    def _in_resource(self) -> bool:
        """Whether we are directly in rdf:RDF's rdf:Description."""
        return tuple(self.path[-2:]) == _PARENT and len(self.path) <= 3 and self.end < 0


def _name(tag: str) -> Name:
    """Split what the parser calls a name: namespace, local name and prefix, with spaces."""
    parts = tag.split(" ")
    return (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
