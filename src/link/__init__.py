"""Link DataJoint tables on different database servers."""
