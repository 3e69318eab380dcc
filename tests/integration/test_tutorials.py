"""The pipelines of DataJoint's tutorials, linked table by table, give equal query results on both sides."""

from __future__ import annotations

import itertools

import datajoint as dj
import numpy as np
import pytest
import servers
from labs import make_lab_s
from servers import Product
from tutorials import TUTORIALS

from link import LazySchema

REPRESENTATIVE = [(Product.POSTGRESQL, Product.MARIADB), (Product.MARIADB, Product.MYSQL), (Product.MYSQL, Product.POSTGRESQL)]
CASES = list(itertools.product(TUTORIALS, itertools.product(Product, repeat=2)))


def _named(value):
    return f"{value[0].value}-to-{value[1].value}" if isinstance(value, tuple) else value.name


@pytest.fixture(scope="module")
def declared():
    """Return a function that gives a lab S with a tutorial's pipeline on a product's server, made once, and its classes."""
    made, connections = {}, []

    def declare(tutorial, product):
        if (tutorial.name, product) not in made:
            lab = make_lab_s(servers.get(product, "source"))
            server, settings = lab.server, {"database__name": lab.server.database_name}
            instance = dj.Instance(
                server.host, lab.owner.user, lab.owner.password, server.port, backend=server.backend, **settings
            )
            connections.append(instance.connection)
            made[tutorial.name, product] = lab, tutorial.declare(dj.Schema(lab.source_schema, connection=instance.connection))
        return made[tutorial.name, product]

    yield declare
    for connection in connections:
        connection.close()


def plain(value):
    """Return a value that compares: arrays with their type, numbers as their servers count them, a char without its padding."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tolist()
    if isinstance(value, str):
        return value.rstrip(" ")
    return float(value) if not isinstance(value, bytes) and hasattr(value, "__float__") else value


def results(expression, wanted, tables):
    rows = eval(expression, {"dj": dj, **tables})
    assert rows
    found = rows.proj(*(name for name in wanted.split() if name not in rows.primary_key)).to_dicts()
    return sorted((tuple(plain(row[name]) for name in wanted.split()) for row in found), key=repr)


@pytest.mark.parametrize(("tutorial", "pair"), CASES, ids=_named, indirect=["pair"])
def test_a_tutorial_is_the_same_on_both_sides(tutorial, pair, declared, lab_l, link, connect):
    """Every table is linked and pulled, and every query of the tutorial gives the rows that it gives at the source."""
    lab_s, theirs = declared(tutorial, pair[0])
    outbound, connection = lab_s.another_outbound(), connect(lab_l, lab_l.user)
    ours = {}
    for name in tutorial.tables:
        ours[name] = link(lab_s, lab_l, type(name, (), {}), connection=connection, outbound=outbound)
        assert ours[name].pull().pulled == len(theirs[name]())
    for name, (expression, wanted) in tutorial.queries.items():
        assert results(expression, wanted, ours) == results(expression, wanted, theirs), name


@pytest.mark.parametrize("pair", REPRESENTATIVE, ids=_named, indirect=True)
def test_lab_l_computes_on_from_copies(pair, declared, lab_l, link, connect):
    """A computed table of lab L's below two copies is populated from them, and joins what its copies join."""
    lab_s, theirs = declared(TUTORIALS[0], pair[0])
    outbound, connection = lab_s.another_outbound(), connect(lab_l, lab_l.user)
    neuron, params, spikes = (
        link(lab_s, lab_l, type(name, (), {}), connection=connection, outbound=outbound)
        for name in ("Neuron", "SpikeParams", "Spikes")
    )
    for cls in (neuron, params, spikes):
        cls.pull()

    class Crossings(dj.Computed):
        definition = "-> Neuron\n-> SpikeParams\n---\ncrossings : int32"

        def make(self, key):
            above = (neuron & key).fetch1("activity") > (params & key).fetch1("threshold")
            self.insert1(key | {"crossings": int((np.diff(above.astype(int)) > 0).sum())})

    schema = LazySchema(lab_l.local_schema, connection=connection)
    crossings = schema(Crossings, context={"Neuron": neuron, "SpikeParams": params})
    crossings.populate()
    both = (crossings * spikes()).to_dicts()
    assert len(both) == len(theirs["Spikes"]())
    assert all(row["crossings"] == row["spike_count"] for row in both)
