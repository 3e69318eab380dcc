"""The ports over DataJoint connections to PostgreSQL, MariaDB and MySQL servers."""
