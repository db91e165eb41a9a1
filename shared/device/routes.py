"""Who may call what of a device. What stands in no table is the operator's alone."""

from shared.web.access.routes import Routes, Who

ROUTES: Routes = {
    "pages.static": Who.ANYBODY,
    "pages.show": Who.VIEWER,
    "device.modeltrain": Who.MAIN_SERVER_OR_OPERATOR,
    "device.cancel_training": Who.MAIN_SERVER_OR_OPERATOR,
    "device.sendmodel": Who.MAIN_SERVER_OR_OPERATOR,
    "device.aggmodel": Who.MAIN_SERVER_OR_OPERATOR,
    "device.auto_train": Who.OPERATOR,
    "device.status": Who.VIEWER,
    "device.training_plot": Who.VIEWER,
    "pictures.list_pictures": Who.VIEWER,
    "pictures.read_picture": Who.VIEWER,
    "pictures.read_thumbnail": Who.VIEWER,
    "pictures.upload": Who.OPERATOR,
    "pictures.change_picture": Who.OPERATOR,
    "pictures.label_picture": Who.OPERATOR,
    "pictures.delete_picture": Who.OPERATOR,
    "pictures.delete_by_form": Who.OPERATOR,
    "predict.predict": Who.OPERATOR,
    "gone_pictures.delete_all": Who.OPERATOR,
}
