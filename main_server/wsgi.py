"""What Gunicorn serves: ``gunicorn main_server.wsgi:app``."""

from main_server import create_app
from main_server.memory import share_one_heap
from shared.errors import configuration_error_ends_the_server

share_one_heap()
with configuration_error_ends_the_server():
    app = create_app()
