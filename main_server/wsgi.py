"""What Gunicorn serves: ``gunicorn main_server.wsgi:app``."""

from main_server import create_app

app = create_app()
