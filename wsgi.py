"""What gunicorn and the flask command run."""

from dotenv import load_dotenv

from payments_service import create_app

load_dotenv()
app = create_app()
