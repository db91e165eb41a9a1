"""Who may call what of the main server. What stands in no table is the operator's alone."""

from shared.web.access.routes import Routes, Who

ROUTES: Routes = {
    "pages.control_page": Who.VIEWER,
    "pages.forget_device": Who.OPERATOR,
    "version_pages.compare_page": Who.VIEWER,
    "version_pages.weights_page": Who.VIEWER,
    "access_pages.access_page": Who.VIEWER,
    "access_pages.forget_device": Who.OPERATOR,
    "steps.modeltrain": Who.OPERATOR,
    "steps.sendmodel": Who.OPERATOR,
    "steps.aggregate_models": Who.OPERATOR,
    "steps.send_model_clients": Who.OPERATOR,
    "steps.run_rounds": Who.OPERATOR,
    "devices.clientstatus": Who.DEVICE,
    "devices.cmodel": Who.DEVICE,
    "devices.offer_initial": Who.DEVICE,
    "devices.read_latest": Who.DEVICE_OR_VIEWER,
    "devices.read_version": Who.DEVICE_OR_VIEWER,
    "tokens.change_token": Who.DEVICE,
    "tokens.revoke_token": Who.OPERATOR,
    "tokens.rotate_token": Who.OPERATOR,
    "lists.list_tasks": Who.VIEWER,
    "lists.list_devices": Who.VIEWER,
    "lists.forget_device": Who.OPERATOR,
    "lists.list_rounds": Who.VIEWER,
    "lists.read_round": Who.VIEWER,
    "lists.list_models": Who.VIEWER,
    "versions.read_statistics": Who.VIEWER,
    "versions.read_change": Who.VIEWER,
    "versions.promote": Who.OPERATOR,
}
