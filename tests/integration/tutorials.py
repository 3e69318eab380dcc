"""The pipelines of DataJoint's tutorials, written anew from their structure: tables, keys and dependencies are theirs.

Each is a function that declares its tables in a schema and fills them, and a set of queries over the tables' names.
"""

from __future__ import annotations

import datetime as dt

import datajoint as dj
import numpy as np
from attrs import frozen


@frozen
class Tutorial:
    """A pipeline: `declare` takes a schema and returns its classes; `queries` are expressions and what to look at."""

    name: str
    declare: object
    tables: tuple[str, ...]
    queries: dict[str, tuple[str, str]]


def university(schema):
    """Declare students, their majors, courses in sections, enrolments and grades."""
    tables = {}

    def table(tier, name, definition, rows=()):
        tables[name] = schema(type(name, (tier,), {"definition": definition}), context=tables)
        tables[name].insert(rows, skip_duplicates=True)

    table(
        dj.Manual,
        "Student",
        """
        # everybody enrolled
        student_id : int64  # given once, for life
        ---
        first_name : varchar(40)
        last_name : varchar(40)
        sex : enum('F', 'M', 'U')
        date_of_birth : date
        home_city : varchar(60)
        home_state : char(2)
        """,
        [
            (
                1000 + n,
                f"Fi{n % 7}",
                f"La'{n}",
                "FMU"[n % 3],
                dt.date(1999, 1 + n % 12, 28),
                f"C{n % 5}",
                ["OH", "CA"][n % 2],
            )
            for n in range(24)
        ],
    )
    table(
        dj.Manual,
        "Department",
        """
        dept : varchar(6)
        ---
        dept_name : varchar(200)
        """,
        [("BIOL", "Life"), ("MATH", "Numbers"), ("CS", "Machines"), ("ART", "It's free")],
    )
    table(
        dj.Manual,
        "StudentMajor",
        """
        -> Student
        ---
        -> Department
        declare_date : date
        """,
        [(1000 + n, ["BIOL", "CS"][n % 2], "2021-09-01") for n in range(0, 24, 3)],
    )
    table(
        dj.Manual,
        "Course",
        """
        -> Department
        course : int16
        ---
        course_name : varchar(200)
        credits : decimal(3,1)
        """,
        [(d, 1000 + 10 * n, f"{d} {n}", ["3.0", "4.5"][n % 2]) for d in ("BIOL", "MATH", "CS") for n in range(3)],
    )
    table(
        dj.Manual,
        "Term",
        """
        term_year : int16
        term : enum('Spring', 'Summer', 'Fall')
        """,
        [(year, term) for year in (2020, 2021) for term in ("Spring", "Summer", "Fall")],
    )
    table(
        dj.Manual,
        "Section",
        """
        -> Course
        -> Term
        section : char(1)
        ---
        room : varchar(12)
        """,
        [
            (d, 1000 + 10 * n, year, term, section, f"R {section}{n}")
            for d in ("BIOL", "MATH", "CS")
            for n in range(3)
            for year, term in ((2020, "Fall"), (2021, "Spring"))
            for section in "ab"[: n + 1]
        ],
    )
    table(
        dj.Manual,
        "CurrentTerm",
        """
        the_only : enum('now')
        ---
        -> Term
        """,
        [("now", 2021, "Spring")],
    )
    table(
        dj.Manual,
        "Enroll",
        """
        -> Student
        -> Section
        """,
        [(1000 + n, *key) for n in range(20) for key in _chosen(tables["Section"].keys(order_by="KEY"), n)],
    )
    table(
        dj.Lookup,
        "LetterGrade",
        """
        grade : char(2)
        ---
        points : decimal(3,2)
        """,
        [("A", "4.00"), ("A-", "3.67"), ("B", "3.00"), ("C+", "2.33"), ("F", "0.00")],
    )
    table(
        dj.Manual,
        "Grade",
        """
        -> Enroll
        ---
        -> LetterGrade
        """,
        [
            (*key.values(), ["A", "A-", "B", "C+", "F"][n % 5])
            for n, key in enumerate(tables["Enroll"].keys(order_by="KEY"))
            if n % 7
        ],
    )
    return tables


def _chosen(keys, number):
    return [tuple(key.values()) for key in keys[number % 4 :: 4]]


def electrophysiology(schema):
    """Declare mice, sessions, the activity of neurons, statistics of it, and spikes found in it with their waveforms."""
    tables = _mice(schema)
    traces = np.sin(np.arange(200) / 5.0) + np.arange(200) / 400

    class Neuron(dj.Imported):
        definition = """
        -> Session
        neuron_id : int16
        ---
        activity : <blob>  # one number a time bin
        """

        def make(self, key):
            for neuron in range(2):
                self.insert1({**key, "neuron_id": neuron, "activity": traces[: 100 + 50 * neuron] * (key["mouse_id"] + 1)})

    class ActivityStats(dj.Computed):
        definition = """
        -> Neuron
        ---
        mean_activity : float32
        std_activity : float32
        max_activity : float32
        """

        def make(self, key):
            activity = (Neuron & key).fetch1("activity")
            moments = {"mean_activity": activity.mean(), "std_activity": activity.std(), "max_activity": activity.max()}
            self.insert1(key | {name: float(value) for name, value in moments.items()})

    class SpikeParams(dj.Lookup):
        definition = """
        spike_param_id : int16
        ---
        threshold : float32
        """
        contents = ((1, 0.5), (2, 0.9))

    class Waveform(dj.Part):
        definition = """
        -> master
        spike_idx : int32
        ---
        waveform : <blob>
        """

    class Spikes(dj.Computed):
        definition = """
        -> Neuron
        -> SpikeParams
        ---
        spike_times : <blob>
        spike_count : int32
        """

        def make(self, key):
            activity, threshold = (Neuron & key).fetch1("activity"), (SpikeParams & key).fetch1("threshold")
            times = np.flatnonzero(np.diff((activity > threshold).astype(int)) > 0) + 1
            self.insert1(key | {"spike_times": times, "spike_count": len(times)})
            waves = ({**key, "spike_idx": n, "waveform": activity[time - 2 : time + 2]} for n, time in enumerate(times))
            self.Waveform.insert(waves)

    Spikes.Waveform = Waveform
    return _entered(schema, tables, Neuron, ActivityStats, SpikeParams, Spikes)


def calcium_imaging(schema):
    """Declare mice, sessions, scans, their average frames, regions segmented out of them, and traces of each."""
    tables = _mice(schema)
    tables["Scan"] = schema(
        type(
            "Scan",
            (dj.Manual,),
            {
                "definition": """
                -> Session
                scan_idx : int16
                ---
                depth : float32
                wavelength : float32
                laser_power : float32
                fps : float32
                file_name : varchar(128)
                """
            },
        ),
        context=tables,
    )
    keys = tables["Session"].keys(order_by="KEY")
    tables["Scan"].insert((*key.values(), n, 150.5, 920.0, 30.1, 15.0, f"scan_{n}.tif") for key in keys for n in (1, 2))

    class AverageFrame(dj.Imported):
        definition = """
        -> Scan
        ---
        average_frame : <blob>
        """

        def make(self, key):
            self.insert1(
                key | {"average_frame": np.add.outer(np.arange(8) % 4, np.arange(6.0)) * (key["mouse_id"] + key["scan_idx"])}
            )

    class SegmentationParam(dj.Lookup):
        definition = """
        seg_param_id : int16
        ---
        threshold : float32
        min_size : int32
        """
        contents = ((1, 3.5, 1), (2, 6.25, 2))

    class Roi(dj.Part):
        definition = """
        -> master
        roi_idx : int16
        ---
        mask : <blob>
        center_x : float32
        center_y : float32
        """

    class Segmentation(dj.Computed):
        definition = """
        -> AverageFrame
        -> SegmentationParam
        ---
        num_rois : int16
        segmented_mask : <blob>
        """

        def make(self, key):
            frame, threshold = (AverageFrame & key).fetch1("average_frame"), (SegmentationParam & key).fetch1("threshold")
            bright = frame > threshold
            masks = [bright & (np.arange(8)[:, None] // 4 == half) for half in (0, 1)]
            masks = [mask for mask in masks if mask.any()]
            self.insert1(key | {"num_rois": len(masks), "segmented_mask": sum(n * mask for n, mask in enumerate(masks, 1))})
            for number, mask in enumerate(masks):
                y, x = (float(axis.mean()) for axis in np.nonzero(mask))
                self.Roi.insert1({**key, "roi_idx": number, "mask": mask, "center_x": x, "center_y": y})

    class Trace(dj.Part):
        definition = """
        -> master
        -> Segmentation.Roi
        ---
        trace : <blob>
        """

    class Fluorescence(dj.Imported):
        definition = """
        -> Segmentation
        ---
        timestamps : <blob>
        """

        def make(self, key):
            self.insert1(key | {"timestamps": np.arange(5) / (tables["Scan"] & key).fetch1("fps")})
            for roi in (Segmentation.Roi & key).to_dicts():
                trace = {name: roi[name] for name in (*key, "roi_idx")} | {"trace": np.arange(5) * roi["mask"].sum()}
                self.Trace.insert1(trace)

    Segmentation.Roi, Fluorescence.Trace = Roi, Trace
    return _entered(schema, tables, AverageFrame, SegmentationParam, Segmentation, Fluorescence)


def _mice(schema):
    """Declare what both kinds of recording begin with."""
    definitions = {
        "Mouse": "mouse_id : int32\n---\ndob : date\nsex : enum('M', 'F', 'unknown')",
        "Session": "-> Mouse\nsession_date : date\n---\nexperimenter : varchar(100)",
    }
    tables = {}
    for name, definition in definitions.items():
        tables[name] = schema(type(name, (dj.Manual,), {"definition": definition}), context=tables)
    tables["Mouse"].insert([(0, "2017-03-01", "M"), (5, "2016-12-25", "F"), (100, "2017-05-12", "unknown")])
    tables["Session"].insert([(0, "2017-05-15", "Ed"), (0, "2017-05-19", "It's me"), (5, "2017-01-05", "Ed")])
    return tables


def _entered(schema, tables, *classes):
    """Declare, and compute what can be."""
    for cls in classes:
        tables[cls.__name__] = schema(cls, context={**tables})
        if issubclass(cls, (dj.Imported, dj.Computed)):
            cls.populate()
    return tables


TUTORIALS = [
    Tutorial(
        "electrophysiology",
        electrophysiology,
        ("Mouse", "Session", "Neuron", "ActivityStats", "SpikeParams", "Spikes"),
        {
            "active neurons": ("Spikes & 'spike_param_id = 1' & 'spike_count > 2'", "mouse_id session_date neuron_id spike_count"),
            "mice with spikes": ("Mouse * Session * Spikes & 'spike_param_id = 1'", "mouse_id sex session_date experimenter spike_times"),
            "mice without": ("Mouse - Session", "mouse_id dob"),
            "thresholds compared": (
                "Spikes.proj('spike_count') * Spikes.proj(other='spike_param_id', more='spike_count') & 'spike_param_id < other'",
                "mouse_id session_date neuron_id spike_count more",
            ),
            "spikes a session": ("Session.aggr(Spikes, spikes='sum(spike_count)', most='max(spike_count)')", "mouse_id spikes most"),
            "waveforms": ("Spikes.Waveform & (Session & dict(experimenter='Ed'))", "mouse_id neuron_id spike_idx waveform"),
        },
    ),
    Tutorial(
        "calcium imaging",
        calcium_imaging,
        ("Mouse", "Session", "Scan", "AverageFrame", "SegmentationParam", "Segmentation", "Fluorescence"),
        {
            "regions": ("Segmentation * Scan & 'num_rois > 0'", "mouse_id scan_idx seg_param_id num_rois file_name segmented_mask"),
            "traces": ("Fluorescence.Trace * Segmentation.Roi", "mouse_id scan_idx seg_param_id roi_idx trace mask"),
            "regions a mouse": ("Mouse.aggr(Segmentation.Roi, n='count(*)')", "mouse_id n"),
            "parameters": ("dj.U('min_size') & (SegmentationParam & Segmentation)", "min_size"),
            "frames of one day": ("AverageFrame & dict(session_date='2017-05-15')", "mouse_id scan_idx average_frame"),
        },
    ),
    Tutorial(
        "university",
        university,
        (
            "Student", "Department", "StudentMajor", "Course", "Term", "Section", "CurrentTerm", "Enroll", "LetterGrade", "Grade",
        ),
        {
            "not from there": ("(Student & dict(sex='F')) - dict(home_state='CA')", "student_id first_name home_state"),
            "either": ("Student & [dict(home_city='C1'), dict(home_city='C2')]", "student_id last_name"),
            "majors": ("Student.proj('first_name', 'last_name') * StudentMajor", "student_id last_name dept declare_date"),
            "no mathematics": ("Student - (Enroll & dict(dept='MATH'))", "student_id"),
            "ungraded": ("Student & (Enroll - Grade)", "student_id date_of_birth"),
            "names": ("dj.U('first_name') & Student", "first_name"),
            "transcript": ("Grade * LetterGrade * Course & dict(student_id=1003)", "dept course course_name credits grade points"),
            "now": ("Section & CurrentTerm", "dept course section room"),
            "a department": ("Department.aggr(StudentMajor, n='count(*)')", "dept n"),
            "averages": (
                "Student.aggr(Grade * LetterGrade * Course, credit='sum(credits)', weighted='sum(points * credits)')",
                "student_id credit weighted",
            ),
            "everywhere": (
                "Student - (Student.proj() * (Department & Course).proj() - Enroll.proj('student_id', 'dept'))", "student_id",
            ),
            "grades given": ("LetterGrade.aggr(Grade, n='count(*)')", "grade n"),
        },
    ),
]  # fmt: skip
