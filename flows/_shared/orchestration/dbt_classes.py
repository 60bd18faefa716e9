"""dbt's classes learn to be read and written when one first is: imported before dbt.

dbt has some hundreds of them, and mashumaro writes code for each as it is made, a fifth of what it
takes to import dbt; a command reads and writes objects of few. The option is mashumaro's own. This
may go once dbt sets it.
"""

from mashumaro.config import BaseConfig

BaseConfig.lazy_compilation = True
