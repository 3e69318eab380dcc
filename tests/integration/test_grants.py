"""What `python -m link grants` prints is enough for everything, and each single right of it is needed for something."""

from __future__ import annotations

import datajoint as dj
import legacy
import pytest
import servers
from labs import make_lab_l, make_lab_s, run_section
from servers import Product

from link.adapters.datajoint import privileges

SAME = [(product, product) for product in Product]
same_product = pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[0].value, indirect=True)


def declare(connection, schema_name, name, definition):
    """Declare a table with a part, four rows in it."""
    schema = dj.Schema(schema_name, connection=connection)

    class Piece(dj.Part):
        definition = """
        -> master
        place : int16
        """

    table = schema(type(name, (dj.Manual,), {"definition": definition, "Piece": Piece}), context={})
    words = [{"word": word} for word in "abc日"]
    table.insert([{**word, "number": 1} for word in words])
    table.Piece.insert([{**word, "place": 1} for word in words])
    return table


ITEM = "word : varchar(20)\n---\nnumber : int32\nindex (number)"


class Life:
    """Everything that the accounts of two labs do, in the order in which they do it; whatever fails, raises."""

    def __init__(self, pair, connect, link, section="", without=None):
        def missing(name):
            return without if section == name else None

        self.later = section in {"", "lab_s"}
        self.triggers = pair[0] is not Product.MYSQL
        self.connect, self.link, self.left_out = connect, link, missing("members")
        self.lab_s = make_lab_s(servers.get(pair[0], "source"), self.before, missing("lab_s"))
        self.lab_l = make_lab_l(servers.get(pair[1], "local"), missing("lab_l"))

    def before(self, lab):
        self.owner = self.connect(lab, lab.owner)
        declare(self.owner, lab.source_schema, "Item", ITEM)

    def run(self, revoked=False):
        self.first_pulls()
        if revoked:
            section = privileges.revocable(self.lab_s.product, self.lab_s.names())
            run_section(self.lab_s.server, section, self.lab_s.link)
        self.lab_s.befriend(("item_outbound",), self.left_out)
        self.lab_s_asks()
        self.lab_l_answers()
        self.lab_s_deletes()
        if not revoked:
            self.mend()
        self.end()

    def first_pulls(self):
        """Link a table that was there before the statements were run, and one that was declared after."""
        mine = self.connect(self.lab_l, self.lab_l.user)
        self.item = self.link(self.lab_s, self.lab_l, type("Item", (), {}), connection=mine)
        assert self.item.pull("word <> 'c'").pulled == 3
        if not self.later:
            return
        declare(self.owner, self.lab_s.source_schema, "Late", ITEM)
        self.late = self.link(self.lab_s, self.lab_l, type("Late", (), {}), connection=mine)
        assert self.late.pull().pulled == 4

    def lab_s_asks(self):
        connection = self.connect(self.lab_s, self.lab_s.member)
        self.source = dj.VirtualModule("lab", self.lab_s.source_schema, connection=connection).Item
        self.outbound = dj.VirtualModule("outbound", self.lab_s.outbound_schema, connection=connection).ItemOutbound
        assert len(self.outbound * self.source) == 3
        self.outbound.DeletionRequested.insert([{"word": "a"}, {"word": "b"}])
        (self.outbound.DeletionRequested & {"word": "b"}).delete(part_integrity="ignore")
        assert (self.source & {"word": "c"}).delete() == 1
        readable = "DeletionRequested" if self.triggers else "(?i)foreign key|blocked by FK"
        with pytest.raises(Exception, match=readable):
            (self.source & {"word": "b"}).delete()

    def lab_l_answers(self):
        """Refresh, delete with dependents of one's own, alter one's own table, pull again."""
        local = self.item._operations.config.local
        note = type("Note", (dj.Manual,), {"definition": "-> Item\n---\ntext : varchar(9)"})
        self.note = note = local(note, context={"Item": self.item})
        note.insert1({"word": "a", "text": "x"})
        note.definition += "\nmore=null : int32"
        note.alter(prompt=False)
        note.update1({"word": "a", "more": 1})
        assert self.item.refresh().new == 1
        assert (self.item.delete().approved, len(note())) == (1, 0)
        assert self.item.pull().pulled == 2

    def lab_s_deletes(self):
        assert self.outbound.DeletionApproved().keys() == [{"word": "a"}]
        assert (self.source & {"word": "a"}).delete() == 1
        assert self.lab_s.count("item") == self.lab_s.count("item_outbound", self.lab_s.outbound_schema) == 2

    def mend(self):
        """Make a foreign key again that an admin has dropped."""
        server, outbound = self.lab_s.server, self.lab_s.outbound("item_outbound")
        names = server.admin_query(
            "SELECT constraint_name FROM information_schema.table_constraints"
            " WHERE table_schema = %s AND table_name = 'item_outbound' AND constraint_type = 'FOREIGN KEY'",
            (self.lab_s.outbound_schema,),
        )
        kind = "CONSTRAINT" if server.backend == "postgresql" else "FOREIGN KEY"
        connection = server.raw(server.admin)
        with connection.cursor() as cursor:
            if server.product is Product.MYSQL:
                cursor.execute("SET SESSION restrict_fk_on_non_standard_key = OFF")
            cursor.execute(f"ALTER TABLE {outbound} DROP {kind} {server.quote(names[0][0])}")
        connection.close()
        assert self.item.repair(prompt=False).healthy

    def end(self):
        self.note.drop(prompt=False)
        self.item.drop()
        assert not self.lab_s.has_outbound("item_outbound")


@pytest.fixture
def life(pair, connect, link):
    """Return a function that begins a life, on a MySQL whose default character set is an older one's, like MariaDB's."""
    local = servers.get(pair[1], "local")
    if pair[1] is Product.MYSQL:
        local.admin_query("SET GLOBAL character_set_server = latin1")
    yield lambda *omitted: Life(pair, connect, link, *omitted)
    if pair[1] is Product.MYSQL:
        local.admin_query("SET GLOBAL character_set_server = DEFAULT")


@same_product
def test_what_is_granted_is_enough(life):
    """With exactly these statements both labs do all that they do."""
    life().run()


@same_product
def test_what_may_be_revoked_is_not_missed(life):
    """After the first pulls the rights that the command calls revocable are not needed by anybody."""
    life().run(revoked=True)


def _rights(pair):
    source, local = (privileges.Product(product.value) for product in pair)
    names = privileges.Names()
    sections = {"lab_s": privileges.lab_s(source, names), "members": privileges.members(source, names)}
    sections["lab_l"] = privileges.lab_l(local, names)
    for name, section in sections.items():
        for number, statement in enumerate(section.statements):
            for right in statement.rights or (None,):
                if "~log" not in statement.text:
                    yield name, (number, right), str(statement)


@same_product
def test_each_right_less_breaks_something(pair, life):
    """Without any one statement, or any one right of it, somebody of either lab cannot do something."""
    idle = []
    for section, without, text in _rights(pair):
        try:
            life(section, without).run()
        except Exception as error:  # noqa: BLE001 - that it fails is what is to be shown
            print(section, without, text, type(error).__name__, str(error)[:150], sep=" | ")
        else:
            idle.append((section, without, text))
    assert not idle


LEGACY_DECLARE = """
schema = dj.Schema(os.environ["SOURCE"])

@schema
class Item(dj.Manual):
    definition = "word : varchar(20)"

Item.insert([("a",), ("b",)])
"""
LEGACY_DELETE = """
lab = dj.VirtualModule("lab", os.environ["SOURCE"], create_schema=False)
(lab.Item & dict(word="%s")).delete()
"""


@pytest.mark.parametrize("pair", [(Product.MARIADB, Product.MARIADB)], ids=["mariadb"], indirect=True)
def test_datajoint_0_14_needs_its_log(lab_s, lab_l, link):
    """Lab S's 0.14 deletes approved rows with what is granted, and not without the right on `~log`."""
    legacy.run(LEGACY_DECLARE, lab_s, lab_s.owner)
    item = link(lab_s, lab_l, type("Item", (), {}))
    item.pull()
    flags = lab_s.outbound("item_outbound__deletion_requested")
    lab_s.server.admin_query(f"INSERT INTO {flags} (word) VALUES ('a'), ('b')")
    assert item.delete().approved == 2
    lab_s.befriend(("item_outbound",))
    legacy.run(LEGACY_DELETE % "a", lab_s, lab_s.member)
    lab_s.server.admin_query(f"REVOKE INSERT ON {lab_s.outbound('~log')} FROM {lab_s.member.user}")
    with pytest.raises(RuntimeError, match="Cannot declare new tables"):
        legacy.run(LEGACY_DELETE % "b", lab_s, lab_s.member)
    assert lab_s.count("item") == 1
