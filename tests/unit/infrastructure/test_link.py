from __future__ import annotations

import pickle

import datajoint as dj
import pytest
from attrs import define

from link import LazySchema, Link
from link.domain.errors import BadRestriction, WriteRefused
from link.infrastructure import ways
from link.infrastructure.composition import LinkOperations
from link.infrastructure.linked_table import LinkedTable


@define
class Untouched:
    """Operations of a link that nobody may use yet."""

    allow_direct_insert: bool = False

    @property
    def local_connection(self):
        pytest.fail("connected")

    def place(self):
        pytest.fail("connected")

    source = pull = refresh = delete = drop = adopt = place


def link(**options):
    said = []

    def make(config):
        said.append(config)
        return Untouched(allow_direct_insert=config.allow_direct_insert)

    local, source = LazySchema("local"), LazySchema("source", host="there", password="s3cret-pw")
    return Link(local, source, operations=make, **options), said


def decorated(**options):
    class Named:
        """What it is about."""

        rig = 7

        def twice(self):
            return 2 * self.rig

        def __str__(self):
            return f"our {super().__str__.__name__}"

    return link(**options)[0](Named)


def test_decorating_connects_to_nothing():
    """From decoration on the class is a DataJoint table, made without a connection."""
    named = decorated()
    assert issubclass(named, dj.Table)
    assert issubclass(named, LinkedTable)
    assert (named.__name__, named.__doc__, named.__module__) == ("Named", "What it is about.", __name__)
    assert isinstance(named(), named)


def test_the_class_keeps_what_the_user_gave_it():
    """Attributes, methods and super() of the decorated class work on as they did."""
    named = decorated()
    assert (named().twice(), named.rig, str(named())) == (14, 7, "our __str__")


def test_a_table_class_is_not_linked_twice():
    """A class that is a DataJoint table already is refused: which kind it is, the source says."""
    with pytest.raises(TypeError, match="plain class"):
        link()[0](type("Session", (dj.Manual,), {}))


def test_options_reach_the_operations():
    """What the user said of outbound and direct inserts is in the link's configuration."""
    decorator, said = link(outbound="out", allow_direct_insert=True)
    decorator(type("Session", (), {}))
    assert (said[0].class_name, said[0].outbound, said[0].allow_direct_insert) == ("Session", "out", True)


@pytest.mark.parametrize("name", sorted(ways.REFUSED))
@pytest.mark.parametrize("on", ["class", "instance"])
def test_refused_ways_are_refused_before_anything_connects(name, on):
    """Each refused way raises WriteRefused on class and instance alike, with direct inserts allowed or not."""
    for allowed in (True, False):
        named = decorated(allow_direct_insert=allowed)
        with pytest.raises(WriteRefused, match="linked table Named"):
            getattr(named if on == "class" else named(), name)()


def test_direct_inserts_need_permission_and_never_replace():
    """Inserts of one row or many are refused without permission, and with it still where they would replace, however that is said."""
    for call in (lambda n: n.insert([]), lambda n: n().insert1({}), lambda n: n.insert1({}), lambda n: n().insert([])):
        with pytest.raises(WriteRefused, match="allow_direct_insert"):
            call(decorated())
    for call in (lambda n: n.insert([], True), lambda n: n().insert([], replace=True), lambda n: n.insert1({}, replace=True)):
        with pytest.raises(WriteRefused, match="never replaced"):
            call(decorated(allow_direct_insert=True))


def test_an_unknown_attribute_is_an_attribute_error():
    """Names that cannot be parts raise without asking a server."""
    with pytest.raises(AttributeError, match="colour"):
        _ = decorated().colour
    with pytest.raises(AttributeError, match="colour"):
        _ = decorated()().colour


def test_reprs_tell_and_keep_the_secret():
    """Link, schemas, operations and classes print as what they are, without a password."""
    decorator, _ = link()
    session = Link(LazySchema("local"), LazySchema("source", host="there", password="s3cret-pw"))(type("Session", (), {}))
    assert repr(decorator) == "Link(LazySchema('local'), LazySchema('source' on there))"
    assert repr(session) == "<linked table Session>"
    assert isinstance(session._operations, LinkOperations)
    assert "s3cret-pw" not in repr(session._operations) + repr(decorator)


def test_errors_of_the_front_survive_pickling():
    """What a worker process raises arrives as what it was."""
    error = pickle.loads(pickle.dumps(BadRestriction(reason="why")))
    assert (type(error), error.reason) == (BadRestriction, "why")


def test_a_linked_class_has_no_children():
    """A child would be read under its own name and deleted from under its parent's."""
    with pytest.raises(TypeError, match="link a class of its own"):
        type("Child", (decorated(),), {})


def test_only_lazy_schemas_are_linked():
    """What is no LazySchema is refused when the link is made, not at its first use."""
    with pytest.raises(TypeError, match="source_schema must be a LazySchema"):
        Link(LazySchema("local"), "source")
