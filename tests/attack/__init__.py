"""An attacker: a user of the broker with only the rights that it is given, who tries what it likes."""
