"""What Gunicorn serves: ``gunicorn main_server.wsgi:app``."""

from main_server import create_app
from shared.errors import configuration_error_ends_the_server

with configuration_error_ends_the_server():
    app = create_app()
