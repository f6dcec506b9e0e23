"""MongoDB: its drivers, what their errors mean, and views of the books at one point in time."""
